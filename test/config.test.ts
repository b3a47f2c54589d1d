/** Where options come from, and what is said about those that cannot be used. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { configText, environmentName, flagName, helpText, readConfig } from "../server/config.ts";
import { secret } from "../server/option.ts";
import { type OptionName, optionNames, optionSpecs, specOf } from "../server/options.ts";
import { OptionsError } from "../server/resolve.ts";

const directory = mkdtempSync(join(tmpdir(), "millrace-config-"));
let files = 0;

function fileOf(content: unknown): string {
  const path = join(directory, `${++files}.json`);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

function problemsOf(args: readonly string[], environment: Record<string, string> = {}): readonly string[] {
  const { problems } = assertThrows(() => readConfig(args, environment), OptionsError);
  for (const problem of problems) assert(!problem.includes("\n"), `not one line: ${problem}`);
  return problems;
}

/** Values of the options that stand for more than a number, a choice or a switch: as text, and as read. */
const examples: Partial<Record<OptionName, [text: string, value: unknown]>> = {
  host: ["::1", "::1"],
  path: ["/other", "/other"],
  node: ["another", "another"],
  jwksUrl: ["https://keys.example.com/jwks.json", "https://keys.example.com/jwks.json"],
  jwtAlgorithms: ["RS256 EdDSA", ["RS256", "EdDSA"]],
  allowedOrigins: ["https://a.example.com https://*.b.example.com", [
    "https://a.example.com",
    "https://*.b.example.com",
  ]],
  trustedProxies: ["10.0.0.0/8 ::1", ["10.0.0.0/8", "::1"]],
  metrics: ["off", "off"],
  brokerUrls: ["redis://127.0.0.1:1 redis://127.0.0.1:2", ["redis://127.0.0.1:1", "redis://127.0.0.1:2"]],
  history: ["news.>:100:300", ["news.>:100:300"]],
};

/** A value of `name` that is not its default. */
function exampleOf(name: OptionName): [text: string, value: unknown] {
  const spec = optionSpecs[name];
  const known = examples[name];
  if (known !== undefined) return known;
  if (spec.isSwitch) return ["true", true];
  if ("max" in spec) {
    const value = spec.max === spec.default ? spec.min : spec.default + 1;
    return [String(value), value];
  }
  if (spec.form.endsWith("[:burst]")) return ["70000:80000", { perSecond: 70_000, burst: 80_000 }];
  if (spec.form === "patterns") return ["a.* b.{user}.>", ["a.*", "b.{user}.>"]];
  const choice = spec.form.split("|").find((word) => word !== spec.default) ?? "";
  return spec.form.includes("|") ? [choice, choice] : ["another", "another"];
}

/** What some options need beside them. */
function besides(name: OptionName): string[] {
  if (name === "broker") return ["--broker-urls", "redis://127.0.0.1"];
  if (name === "brokerUrls") return ["--broker", "redis"];
  if (name === "redisCluster") return ["--broker", "redis", "--broker-urls", "redis://127.0.0.1"];
  if (name === "dashboard") return ["--api-key-file", "keys"];
  if (/^(jwtAudience|jwtIssuer|authCookie)$/.test(name)) return ["--jwt-secret", "s".repeat(32)];
  return [];
}

describe("the configuration", () => {
  after(() => rmSync(directory, { recursive: true }));

  it("is the defaults when nothing is said", () => {
    const { action, options, sources } = readConfig([], {});
    assertEquals(action, "serve");
    assertEquals([options.host, options.port, options.path, options.engine], [
      "127.0.0.1",
      9001,
      "/ws",
      "auto",
    ]);
    for (const name of optionNames) {
      assertEquals([options[name], sources[name]], [optionSpecs[name].default, "default"]);
    }
  });

  it("takes flags over the environment over the file over defaults, and knows where each came from", () => {
    const file = fileOf({ port: 1, maxErrors: 1, maxIdleTopics: 1 });
    const environment = { MILLRACE_PORT: "2", MILLRACE_MAX_ERRORS: "2" };
    const { options, sources } = readConfig(["--port", "3", "--config", file], environment);
    assertEquals([options.port, sources.port], [3, "--port"]);
    assertEquals([options.maxErrors, sources.maxErrors], [2, "MILLRACE_MAX_ERRORS"]);
    assertEquals([options.maxIdleTopics, sources.maxIdleTopics], [1, file]);
    assertEquals([options.maxTopicsPerConnection, sources.maxTopicsPerConnection], [128, "default"]);
  });

  it("reads every option from a flag, from the environment and from the file", () => {
    for (const name of optionNames.filter((name) => !name.startsWith("tls"))) {
      const [text, value] = exampleOf(name);
      const read = [
        readConfig([...besides(name), `--${flagName(name)}=${text}`], {}),
        readConfig(besides(name), { [environmentName(name)]: text }),
        readConfig([...besides(name), "--config", fileOf({ [name]: value })], {}),
        readConfig([...besides(name), "--config", fileOf({ [name]: text })], {}),
        readConfig(besides(name), { MILLRACE_CONFIG: fileOf({ [name]: value }) }),
        readConfig([...besides(name), `--${flagName(name)}`, ...(specOf(name).isSwitch ? [] : [text])], {}),
      ];
      assertEquals(read.map(({ options }) => options[name] as unknown), Array(read.length).fill(value), name);
    }
  });

  it("reads 0 as no limit in every rate, and prints it so", () => {
    for (const name of optionNames.filter((name) => name.endsWith("Rate"))) {
      const config = readConfig([`--${flagName(name)}=0`], {});
      assertEquals(config.options[name], null);
      assertMatch(configText(config), new RegExp(`^${name} = "0" +# --${flagName(name)}$`, "m"));
    }
  });

  it("takes a certificate and its key together, and neither alone", () => {
    const both = readConfig(["--tls-cert", "c.pem"], { MILLRACE_TLS_KEY: "k.pem" }).options;
    assertEquals([both.tlsCert, both.tlsKey], ["c.pem", "k.pem"]);
    for (const flag of ["--tls-cert", "--tls-key"]) {
      const error = assertThrows(() => readConfig([flag, "x.pem"], {}), OptionsError);
      assertEquals(error.problems, ["tlsCert and tlsKey go together; only one of them is set"]);
    }
  });

  it("takes PORT for the port, below MILLRACE_PORT and above the file", () => {
    const file = fileOf({ port: 1 });
    const both = readConfig([], { PORT: "2", MILLRACE_PORT: "3" });
    assertEquals([both.options.port, both.sources.port], [3, "MILLRACE_PORT"]);
    const overFile = readConfig(["--config", file], { PORT: "2" });
    assertEquals([overFile.options.port, overFile.sources.port], [2, "PORT"]);
  });

  it("takes the --config flag over MILLRACE_CONFIG", () => {
    const [first, second] = [fileOf({ port: 1 }), fileOf({ port: 2 })];
    assertEquals(readConfig(["--config", first], { MILLRACE_CONFIG: second }).options.port, 1);
  });

  const unknown: [string, string[], Record<string, string>, string][] = [
    ["flag", ["--prot", "1"], {}, "--prot: unknown option; did you mean --port?"],
    [
      "flag with its value behind =",
      ["--max-mesage-bytes=1"],
      {},
      "--max-mesage-bytes: unknown option; did you mean --max-message-bytes?",
    ],
    [
      "flag in the file's spelling",
      ["--maxErrors", "1"],
      {},
      "--maxErrors: unknown option; did you mean --max-errors?",
    ],
    ["flag like no other", ["--xyz", "1"], {}, "--xyz: unknown option; --help lists them all"],
    ["short flag", ["-p", "1"], {}, "-p: unknown option; --help lists them all"],
    [
      "variable",
      [],
      { MILLRACE_MAX_ERROR: "1" },
      "MILLRACE_MAX_ERROR: unknown variable; did you mean MILLRACE_MAX_ERRORS?",
    ],
    [
      "variable that shares only its beginning",
      [],
      { MILLRACE_XYZ: "1" },
      "MILLRACE_XYZ: unknown variable; --help lists them all",
    ],
  ];
  for (const [name, args, environment, problem] of unknown) {
    it(`names an unknown ${name} and the nearest known one`, () => {
      assertEquals(problemsOf(args, environment), [problem]);
    });
  }

  it("names an unknown key of the file and the nearest known one", () => {
    const file = fileOf({ heartbeatSecond: 20, ["__proto__x"]: 1, port: 5 });
    assertEquals(problemsOf(["--config", file]), [
      `${file}: heartbeatSecond: unknown option; did you mean heartbeatSeconds?`,
      `${file}: __proto__x: unknown option; --help lists them all`,
    ]);
    const proto = fileOf(`{"__proto__":{"port":5}}`);
    assertEquals(problemsOf(["--config", proto]), [
      `${proto}: __proto__: unknown option; --help lists them all`,
    ]);
  });

  const badValues: [string, string[], string][] = [
    ["text for a number", ["--port", "http"], `must be a whole number from 0 to 65535, not "http"`],
    ["a number that is too large", ["--port", "65536"], `must be a whole number from 0 to 65535, not 65536`],
    ["a number below the least", ["--max-errors", "0"], "must be a whole number from 1 to 1000000, not 0"],
    ["a negative number", ["--port", "-1"], "must be a whole number from 0 to 65535, not -1"],
    ["a fraction", ["--port", "1.5"], `not "1.5"`],
    ["an exponent", ["--port", "1e3"], `not "1e3"`],
    ["hexadecimal", ["--port", "0x10"], `not "0x10"`],
    ["a unit", ["--max-message-bytes", "64KB"], `from 64 to 67108864 bytes, not "64KB"`],
    ["no number", ["--port="], `not ""`],
    ["an unknown choice", ["--deflate", "on"], `must be one of off, shared, dedicated, not "on"`],
    ["an unknown engine", ["--engine", "netty"], `must be one of auto, bun, uws`],
    ["a path without a slash", ["--path", "ws"], `must be a URL path that starts with /, not "ws"`],
    ["a path with a query", ["--path", "/ws?x"], "must be a URL path"],
    ["a host with a space", ["--host", "a b"], `must be an IP address or a host name, not "a b"`],
    ["a rate that is no number", ["--message-rate", "fast"], `must be 0 (no limit), N or N:burst`],
    ["a switch that is neither on nor off", ["--require-origin=maybe"], `must be true or false, not "maybe"`],
    ["an Origin with a path", ["--allowed-origins", "https://a.test/x"], `has "https://a.test/x": `],
    ["a network that is none", ["--trusted-proxies", "10.0.0.0/33"], `has "10.0.0.0/33": `],
    ["a pattern with a wildcard in a word", ["--allow-publish", "a.b*"], `has "a.b*": `],
    ["a history without a length", ["--history", "news.>"], `has "news.>": must be pattern:messages:seconds`],
    ["a history of what is no pattern", ["--history", "a.>.b:1:1"], `has "a.>.b:1:1": A pattern is`],
    ["an algorithm that signs nothing", ["--jwt-algorithms", "none"], `has "none": `],
    ["keys from afar without TLS", ["--jwks-url", "http://a.test/"], "must be an https: URL"],
    ["a name that is too long", ["--node", "n".repeat(65)], "must be 1 to 64 characters"],
  ];
  for (const [name, args, part] of badValues) {
    it(`refuses ${name} and says what would be right`, () => {
      const [problem = "", ...more] = problemsOf(args);
      assertEquals(more, []);
      assertStringIncludes(problem.replace(/not "(-?\d+)"/, "not $1"), part);
      assertStringIncludes(problem, (args[0] ?? "").split("=", 1)[0] ?? "");
    });
  }

  it("says for a bad value where it stands: variable, PORT or file", () => {
    const file = fileOf({ maxErrors: "many", maxIdleTopics: null, path: 5, deflate: true });
    const problems = problemsOf(["--config", file], { PORT: "x", MILLRACE_LOG_LEVEL: "loud" });
    assertEquals(
      problems.map((problem) => problem.split(" must ")[0]).sort(),
      [
        `${file}: deflate`,
        `${file}: maxErrors`,
        `${file}: maxIdleTopics`,
        `${file}: path`,
        "MILLRACE_LOG_LEVEL: logLevel",
        "PORT: port",
      ].sort(),
    );
  });

  it("refuses a flag without a value, and words that are no options", () => {
    assertEquals(problemsOf(["--port"]), ["--port: needs a value"]);
    assertEquals(problemsOf(["9001"]), ["9001: not an option; options start with --"]);
    assertEquals(problemsOf(["--config"]), ["--config: needs a value"]);
  });

  it("refuses a file that is not there, not JSON or not an object, each in one line", () => {
    const missing = join(directory, "missing.json");
    assertMatch(problemsOf(["--config", missing])[0] ?? "", /missing\.json: cannot be read as JSON: ENOENT/);
    for (const content of [`{\n  "port": 1,\n  oops\n}\n`, `{\n"port": oops\n}`, "", "{"]) {
      assertMatch(problemsOf(["--config", fileOf(content)])[0] ?? "", /: cannot be read as JSON: /);
    }
    for (const content of ["[]", "null", "5"]) {
      assertMatch(
        problemsOf(["--config", fileOf(content)])[0] ?? "",
        /: must hold one JSON object of options$/,
      );
    }
  });

  const contradictions: [string, string[], RegExp][] = [
    [
      "a pong that may take as long as the interval",
      ["--heartbeat-seconds", "10"],
      /^heartbeatTimeoutSeconds \(10\) must be less than heartbeatSeconds \(10\)$/,
    ],
    [
      "a message that alone fills the backlog",
      ["--max-message-bytes", "8192", "--max-backpressure-bytes", "8191"],
      /^maxMessageBytes \(8192\) must not be more than maxBackpressureBytes \(8191\)/,
    ],
    ["a path that is an HTTP route", ["--path", "/health"], /^path \(\/health\) is taken by an HTTP route$/],
    ["a backlog of one that is more than that of all", [
      "--max-queued-bytes",
      "65536",
    ], /^maxBackpressureBytes \(1048576\) must not be more than maxQueuedBytes \(65536\)/],
    [
      "a burst below the largest message",
      ["--byte-rate", "1000:65535"],
      /^byteRate's burst \(65535\) must not be less than maxMessageBytes \(65536\)/,
    ],
    [
      "a user's burst below the largest message",
      ["--user-byte-rate", "1000"],
      /^userByteRate's burst \(1000\) must not/,
    ],
    [
      "two keys for tokens",
      ["--jwt-secret", "x", "--jwks-url", "https://a.test/"],
      /^only one of .* can be set, not jwtSecret and jwksUrl$/,
    ],
    ["an audience without a key", ["--jwt-audience", "a"], /^jwtAudience is for tokens, and no key/],
    ["a dashboard without a key", ["--dashboard"], /^dashboard needs apiKeyFile: it shows/],
    [
      "the dashboard's path for the WebSocket",
      ["--path", "/dashboard"],
      /^path \(\/dashboard\) is taken by an HTTP route$/,
    ],
    ["metrics behind a key that is not there", ["--metrics", "key"], /^metrics=key needs apiKeyFile$/],
    [
      "strangers without authentication",
      ["--host", "0.0.0.0"],
      /^host \(0\.0\.0\.0\) lets other machines in, .*--insecure-anonymous$/,
    ],
    ["a broker that is nowhere", ["--broker", "redis"], /^broker redis needs brokerUrls$/],
    [
      "a place for a broker that is here",
      ["--broker-urls", "redis://127.0.0.1"],
      /^brokerUrls are for broker redis/,
    ],
    ["a path in the API", ["--path", "/api/publish"], /^path \(\/api\/publish\) is taken/],
  ];
  for (const [name, args, pattern] of contradictions) {
    it(`refuses ${name}`, () => {
      const problems = problemsOf(args);
      assertEquals(problems.length, 1);
      assertMatch(problems[0] ?? "", pattern);
    });
  }

  it("allows what only seems to contradict: no heartbeat at all, a message as large as the backlog", () => {
    readConfig(["--heartbeat-seconds", "0"], {});
    readConfig(["--heartbeat-seconds", "11"], {});
    readConfig(["--max-message-bytes", "8192", "--max-backpressure-bytes", "8192"], {});
    readConfig(["--path", "/apiary"], {});
    readConfig(["--byte-rate", "1000:65536"], {});
    readConfig(["--max-queued-bytes", "1048576"], {});
  });

  it("lets strangers in who have a token, or whom the operator asks for, and everybody on loopback", () => {
    const key = ["--jwt-secret", "s".repeat(32)];
    readConfig(["--host", "0.0.0.0", ...key], {});
    readConfig(["--host", "::", "--insecure-anonymous"], {});
    for (const host of ["localhost", "127.0.0.1", "127.8.9.1", "::1"]) readConfig(["--host", host], {});
    for (const host of ["::", "10.0.0.1", "127.evil.test", "localhost.evil.test", "1::1"]) {
      assertMatch(problemsOf(["--host", host])[0] ?? "", /--insecure-anonymous$/);
    }
  });

  it("tells every problem at once", () => {
    const problems = problemsOf(["--port", "x", "--nope", "--max-errors", "y"], { MILLRACE_NOPE: "1" });
    assertEquals(problems.length, 4);
  });

  it("ignores the variables that Kubernetes adds for services called millrace and millrace-…", () => {
    const environment = {
      MILLRACE_SERVICE_HOST: "10.0.0.1",
      MILLRACE_SERVICE_PORT: "9001",
      MILLRACE_SERVICE_PORT_WS: "9001",
      MILLRACE_PORT: "tcp://10.0.0.1:9001",
      MILLRACE_PORT_9001_TCP: "tcp://10.0.0.1:9001",
      MILLRACE_PORT_9001_TCP_PROTO: "tcp",
      MILLRACE_PORT_9001_TCP_PORT: "9001",
      MILLRACE_PORT_9001_TCP_ADDR: "10.0.0.1",
      MILLRACE_REDIS_PORT: "tcp://10.0.0.2:6379",
      MILLRACE_REDIS_SERVICE_HOST: "10.0.0.2",
      MILLRACE_REDIS_PORT_53_UDP: "udp://10.0.0.2:53",
    };
    const { options, sources } = readConfig([], environment);
    assertEquals([options.port, sources.port], [9001, "default"]);
    assertEquals(problemsOf([], { MILLRACE_PORT: "tcp" }).length, 1);
    assertEquals(problemsOf([], { MILLRACE_REDIS_PORT: "6379" }).length, 1);
  });

  it("leaves other people's variables alone", () => {
    assertEquals(readConfig([], { HOST: "x", millrace_port: "x", MILLRACEPORT: "x" }).options.port, 9001);
  });

  it("lists every option in --help with its flag, its unit or values, and its default", () => {
    const lines = helpText().split("\n");
    for (const name of optionNames) {
      const { form, isSwitch, write, default: value } = specOf(name);
      const head = `  --${flagName(name)}${isSwitch ? "" : ` <${form}>`}`;
      const at = lines.indexOf(head);
      assert(at > 0, head);
      if ("max" in optionSpecs[name] && /(Bytes|Seconds|Ms)$/.test(name)) {
        assert(name.toLowerCase().endsWith(form), `${name} is in ${form}`);
      }
      assert(lines[at + 1]?.endsWith(` [${write(value)}]`), lines[at + 1]);
      assert((lines[at + 1]?.trim().length ?? 0) > 20, `${name} is explained`);
    }
    for (
      const other of ["--config <file>", "--print-config", "--help", "PORT", "MILLRACE_MAX_MESSAGE_BYTES"]
    ) {
      assertStringIncludes(helpText(), other);
    }
  });

  it("prints what holds and where it came from", () => {
    const config = readConfig(["--print-config", "--port", "5"], { MILLRACE_LOG_LEVEL: "warn" });
    assertEquals(config.action, "print-config");
    const lines = configText(config).trimEnd().split("\n").map((line) => line.split(/\s+#\s/));
    assertEquals(lines.length, optionNames.length);
    const shown = Object.fromEntries(lines.map(([setting = "", source]) => [setting, source]));
    assertEquals(shown["port = 5"], "--port");
    assertEquals(shown[`logLevel = "warn"`], "MILLRACE_LOG_LEVEL");
    assertEquals(shown[`host = "127.0.0.1"`], "default");
  });

  it("never shows the password in a broker's URL", () => {
    const flags = [
      "--broker",
      "redis",
      "--broker-urls",
      "redis://user:hunter2@10.0.0.5:6379 redis://10.0.0.6:6379",
    ];
    const shown = configText(readConfig(flags, {}));
    assert(!shown.includes("hunter2"));
    assertStringIncludes(shown, "redis://user:***@10.0.0.5:6379");
    assertStringIncludes(shown, "redis://10.0.0.6:6379");
  });

  it("never repeats a secret, not even a wrong one", () => {
    assertEquals(secret("").read(5), { problem: "must be text" });
    const { options, ...config } = readConfig(["--jwt-secret", "hunter2".repeat(5)], {});
    assertEquals(options.jwtSecret, "hunter2".repeat(5));
    const shown = configText({ options, ...config });
    assert(!shown.includes("hunter2"));
    assertMatch(shown, /^jwtSecret = \*\*\* /m);
  });
});
