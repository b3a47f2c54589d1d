/** Origins: lists, the same host, and what loopback lets through. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { OriginPolicy, type OriginSettings, parseAllowedOrigin } from "../../server/auth/origin.ts";

const settings: OriginSettings = {
  allowed: [],
  requireOrigin: false,
  listensOnLoopback: false,
  secure: false,
};

function policy(changes: Partial<OriginSettings>): OriginPolicy {
  return new OriginPolicy({ ...settings, ...changes });
}

/** Those of `origins` that a list lets in. */
function allowedBy(allowed: readonly string[], origins: readonly string[]): string[] {
  const listed = policy({ allowed });
  return origins.filter((origin) => listed.allows(origin, "ws.example.com"));
}

const malformed = [
  "",
  "https://",
  "https:",
  "app.example.com",
  "//app.example.com",
  "https://app.example.com/",
  "https://app.example.com/path",
  "https://app.example.com?x",
  "https://app.example.com#x",
  "https://user@app.example.com",
  "https://app.example.com@evil.test",
  "https://app.example.com\\@evil.test",
  "https://app.example.com, https://evil.test",
  "https://app.example.com https://evil.test",
  "https://app.example.com:99999",
  "https://app.example.com:port",
  "https://[::1",
  "https://exa mple.com",
  " https://app.example.com",
  "https://app.example.com\n",
  "NULL",
  "file://localhost",
  `https://${"a.".repeat(200)}example.com`,
];

describe("a list of origins", () => {
  it("lets in exactly what it names: scheme, host and port", () => {
    const same = ["https://app.example.com", "https://APP.example.com", "https://app.example.com:443"];
    const others = [
      "http://app.example.com",
      "https://app.example.com:8443",
      "https://example.com",
      "https://app.example.com.",
      "https://app.example.com.evil.test",
      "https://xapp.example.com",
      "https://a.app.example.com",
      "null",
    ];
    assertEquals(allowedBy(["https://app.example.com"], [...same, ...others]), same);
    assertEquals(allowedBy(["https://App.Example.com:443"], [...same, ...others]), same);
    assertEquals(
      allowedBy(["http://app.example.com:8080"], ["http://app.example.com:8080", "http://app.example.com"]),
      ["http://app.example.com:8080"],
    );
  });

  it("with https://*.example.com lets in every name below the domain, and neither it nor lookalikes", () => {
    const below = ["https://a.example.com", "https://a.b.example.com", "https://A.EXAMPLE.com"];
    const others = [
      "https://example.com",
      "https://evil-example.com",
      "https://evilexample.com",
      "https://.example.com",
      "http://a.example.com",
      "https://a.example.com:8443",
      "https://a.example.com.evil.test",
      "https://a.example.org",
    ];
    assertEquals(allowedBy(["https://*.example.com"], [...below, ...others]), below);
    assertEquals(allowedBy(["https://*.example.com:8443"], [...below, ...others]), [
      "https://a.example.com:8443",
    ]);
  });

  it("knows hosts in every spelling of theirs", () => {
    assertEquals(allowedBy(["https://xn--bcher-kva.example"], ["https://bücher.example"]), [
      "https://bücher.example",
    ]);
    assertEquals(allowedBy(["http://127.0.0.1:3000"], ["http://0x7f.1:3000"]), ["http://0x7f.1:3000"]);
    assertEquals(allowedBy(["http://[::1]"], ["http://[0:0:0:0:0:0:0:1]:80"]), [
      "http://[0:0:0:0:0:0:0:1]:80",
    ]);
  });

  it("may name the origins of applications and extensions", () => {
    const allowed = ["capacitor://localhost", "chrome-extension://abcdefgh"];
    assertEquals(allowedBy(allowed, [...allowed, "chrome-extension://other", "http://localhost"]), allowed);
  });

  it("with * lets in every origin, and with null pages that have none", () => {
    const origins = ["https://evil.test", "http://localhost:3000", "null", "app://x"];
    assertEquals(allowedBy(["*"], origins), origins);
    assertEquals(allowedBy(["null"], origins), ["null"]);
    assertEquals(allowedBy(["https://app.example.com", "null"], origins), ["null"]);
  });

  it("takes the place of the rule of the same host", () => {
    const listed = policy({ allowed: ["https://app.example.com"], listensOnLoopback: true });
    assert(listed.allows("https://app.example.com", "app.example.com"));
    assert(!listed.allows("https://ws.example.com", "ws.example.com"));
    assert(!listed.allows("http://localhost:3000", "localhost:9001"));
  });

  it("never lets in what is no origin", () => {
    assertEquals(allowedBy(["*", "null", "https://*.example.com", "https://app.example.com"], malformed), []);
  });
});

describe("without a list, an origin", () => {
  const same: [origin: string, host: string][] = [
    ["https://example.com", "example.com"],
    ["https://example.com", "example.com:443"],
    ["https://example.com:443", "example.com"],
    ["http://example.com", "example.com:80"],
    ["http://example.com:8080", "example.com:8080"],
    ["https://Example.com", "eXample.com"],
    ["https://[2001:db8::1]:8443", "[2001:DB8:0::1]:8443"],
  ];
  for (const [origin, host] of same) {
    it(`of ${origin} may connect to ${host}`, () => {
      assert(policy({}).allows(origin, host));
    });
  }

  const other: [origin: string, host: string | undefined][] = [
    ["https://evil.test", "example.com"],
    ["https://example.com", "example.com:8443"],
    ["https://example.com:8443", "example.com"],
    ["http://example.com:443", "example.com"],
    ["https://a.example.com", "example.com"],
    ["https://example.com", "a.example.com"],
    ["http://localhost:3000", "example.com"],
    ["null", "example.com"],
    ["null", "null"],
    ["chrome-extension://example.com", "example.com"],
    ["https://example.com", undefined],
    ["https://example.com", ""],
    ["https://example.com", "example.com/"],
    ["https://example.com", "user@example.com"],
    ["https://example.com", "example.com, evil.test"],
    ["https://evil.test", "example.com@evil.test"],
    ["https://evil.test", "example.com\\@evil.test"],
  ];
  for (const [origin, host] of other) {
    it(`of ${origin} may not connect to ${JSON.stringify(host)}`, () => {
      assert(!policy({}).allows(origin, host));
    });
  }

  it("that is none is refused", () => {
    assertEquals(malformed.filter((origin) => policy({}).allows(origin, "app.example.com")), []);
  });

  it("must be https where TLS ends here", () => {
    assert(policy({ secure: true }).allows("https://example.com", "example.com"));
    assert(!policy({ secure: true }).allows("http://example.com", "example.com"));
    assert(policy({}).allows("http://example.com", "example.com"));
  });
});

describe("on loopback, without a list, an origin", () => {
  const local = policy({ listensOnLoopback: true });

  it("of any port of this machine may connect", () => {
    for (
      const origin of [
        "http://localhost:5173",
        "http://127.0.0.1:5173",
        "http://127.1.2.3",
        "https://[::1]:5173",
      ]
    ) {
      for (const host of ["localhost:9001", "127.0.0.1:9001", "[::1]:9001"]) {
        assert(local.allows(origin, host), origin);
      }
    }
    assert(!policy({}).allows("http://localhost:5173", "localhost:9001"));
  });

  it("of another site may not, even when its name leads here (DNS rebinding)", () => {
    for (
      const name of [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "evil.localhost.test",
        "10.0.0.1",
      ]
    ) {
      assert(!local.allows(`http://${name}`, name), name);
      assert(!local.allows(`http://${name}:9001`, `${name}:9001`), name);
      assert(!local.allows(`http://${name}:9001`, "localhost:9001"), name);
      assert(!local.allows("http://localhost:5173", `${name}:9001`), name);
    }
    assert(policy({}).allows("http://evil.test", "evil.test"));
  });

  it("that is none, or of no web page, may not", () => {
    for (const origin of ["null", "capacitor://localhost", ...malformed]) {
      assert(!local.allows(origin, "localhost:9001"), origin);
    }
    assert(!local.allows("http://localhost:5173", undefined));
  });
});

describe("a request without an origin", () => {
  it("passes unless one is required", () => {
    for (
      const changes of [{}, { allowed: ["https://app.example.com"] }, { listensOnLoopback: true }, {
        secure: true,
      }]
    ) {
      assert(policy(changes).allows(undefined, "example.com"));
      assert(!policy({ ...changes, requireOrigin: true }).allows(undefined, "example.com"));
    }
    assert(policy({ requireOrigin: true }).allows("https://example.com", "example.com"));
  });
});

describe("an entry of the list", () => {
  const right = [
    "*",
    "null",
    "https://app.example.com",
    "http://localhost:3000",
    "https://*.example.com",
    "http://*.localhost:3000",
    "capacitor://localhost",
    "http://[::1]:3000",
  ];
  const wrong = [
    "",
    "app.example.com",
    "*.example.com",
    "https://*",
    "https://*.",
    "https://*example.com",
    "https://a.*.example.com",
    "https://*.*.example.com",
    "https://*.10.0.0.1",
    "https://*.[::1]",
    "https://app.example.com/",
    "https://app.example.com:*",
    "*://example.com",
    "https://a.com,https://b.com",
    "NULL",
  ];

  it("is checked before it is used", () => {
    assertEquals(right.filter((text) => parseAllowedOrigin(text) !== undefined), []);
    for (const text of wrong) {
      assert(parseAllowedOrigin(text)?.endsWith(`not ${JSON.stringify(text)}`), text);
      assertThrows(() => policy({ allowed: [text] }), TypeError);
    }
    policy({ allowed: right });
  });
});
