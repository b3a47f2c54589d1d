#!/usr/bin/env -S npx tsx
/**
 * `validate-config FILE`: reads an nginx or HAProxy configuration as an operator of WebSockets would, and says what is
 * wrong, where, why that matters and what would be right. Starts no program and connects to nothing. This file only
 * prints the answer.
 */
import process from "node:process";
import { answer } from "./validate_config/command.ts";

const { exit, stdout, stderr } = answer(process.argv.slice(2));
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = exit;
