/** The names of epochs: random, so that a history that starts afresh is never taken for the one before. */
import { randomBytes } from "node:crypto";

const EPOCH_BYTES = 6;

export function createEpoch(): string {
  return randomBytes(EPOCH_BYTES).toString("base64url");
}
