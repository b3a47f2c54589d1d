/** How files become trees: words, lines, includes, sections, and what conditions of HAProxy say about a request. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { type Directive, readNginx } from "../../scripts/validate_config/nginx_tree.ts";
import { descendants, locationFor, nginxConfig } from "../../scripts/validate_config/nginx_config.ts";
import { nginxBytes, nginxSeconds } from "../../scripts/validate_config/nginx_units.ts";
import { holds } from "../../scripts/validate_config/haproxy_conditions.ts";
import { haproxyConfig, lineOf, timeout } from "../../scripts/validate_config/haproxy_config.ts";
import { haproxySeconds } from "../../scripts/validate_config/haproxy_lines.ts";
import { readHaproxy } from "../../scripts/validate_config/haproxy_tree.ts";
import { splitWords } from "../../scripts/validate_config/haproxy_words.ts";
import { recognise } from "../../scripts/validate_config/validate.ts";
import { RIGHT } from "./right.ts";
import { Workbench } from "./workbench.ts";

const bench = new Workbench();
after(() => bench.remove());

function named(root: Directive, name: string): Directive | undefined {
  return [...descendants(root)].find((one) => one.name === name);
}

describe("an nginx file", () => {
  const tree = (text: string) => readNginx(bench.write("nginx", text));

  it("is read into words without quotes and escapes, each directive with its line", () => {
    const { root, problems } = tree(`events {}
http { # a comment with ; and {
  log_format a 'it';
  log_format main "a \\"b\\" c"
    'second # line;' $host\${uri}x;
}\n`);
    assertEquals(problems, []);
    const formats = [...descendants(root)].filter(({ name }) => name === "log_format");
    assertEquals(formats[1]?.args, ["main", 'a "b" c', "second # line;", "$host${uri}x"]);
    assertEquals(formats.map(({ place }) => place.line), [3, 4]);
  });

  it("takes a brace behind a dollar for a variable, and ends a word at any other", () => {
    const { root, problems } = tree("events {}\nhttp { server { location /a{ return 200 ${host}; } } }\n");
    assertEquals(problems, []);
    assertEquals(named(root, "location")?.args, ["/a"]);
    assertEquals(named(root, "return")?.args, ["200", "${host}"]);
  });

  it("keeps file and line of what is included, in the order of names, hidden files left out", () => {
    const main = bench.write("nginx", "events {}\nhttp {\n  include sites/*.conf;\n  include one.inc;\n}\n");
    const folder = join(main, "..");
    mkdirSync(join(folder, "sites"));
    writeFileSync(join(folder, "sites", "b.conf"), "\n\nserver { listen 2; }\n");
    writeFileSync(join(folder, "sites", "a.conf"), "server { listen 1; }\n");
    writeFileSync(join(folder, "sites", ".c.conf"), "server { listen 3; }\n");
    writeFileSync(join(folder, "one.inc"), "server_tokens off;\n");
    const { root, files, problems } = readNginx(main);
    assertEquals(problems, []);
    assertEquals(
      files,
      [main, "sites/a.conf", "sites/b.conf", "one.inc"].map((name) =>
        name === main ? main : join(folder, name)
      ),
    );
    const listens = [...descendants(root)].filter(({ name }) => name === "listen");
    assertEquals(listens.map(({ args, place }) => [args[0], place.line]), [["1", 1], ["2", 3]]);
  });

  it("that includes itself over another one is told with the whole circle, and reading ends", () => {
    const main = bench.write("nginx", "events {}\nhttp {\n  include a.inc;\n}\n");
    writeFileSync(join(main, "..", "a.inc"), "include nginx.conf;\n");
    const { problems } = readNginx(main);
    assertEquals(problems.length, 1);
    assertMatch(problems[0]?.what ?? "", /nginx\.conf -> .*a\.inc -> .*nginx\.conf$/);
    assertEquals(problems[0]?.place, { file: join(main, "..", "a.inc"), line: 1 });
  });

  it("that is made to be included is read as a part of its block", () => {
    assertEquals(tree("server { listen 80; }\n").fragmentOf, "http");
    assertEquals(tree("location /ws { proxy_pass http://a; }\n").fragmentOf, "server");
    assertEquals(tree("events {}\n").fragmentOf, undefined);
    assertEquals(tree("location /ws { worker_processes 1; }\n").problems.length, 1);
  });

  it("with directives of other modules is not refused for them, but for those of nginx that are misspelt", () => {
    const text = (line: string) => `load_module x.so;\nevents {}\nhttp { ${line} }\n`;
    assertEquals(tree(text("something_else on;")).problems, []);
    assertEquals(tree(text("serer { }")).problems.length, 1);
    assertEquals(tree("events {}\nhttp { content_by_lua_block { a = { b } } }\n").problems, []);
  });

  it("chooses locations as nginx does: exact, then a prefix with ^~, then patterns, then the longest prefix", () => {
    const { root } = tree(`server {
      location / { return 1; } location /w { return 2; } location = /ws { return 3; }
      location ^~ /static/ { return 4; } location ~ \\.io$ { return 5; } location ~* ^/CHAT { return 6; } }\n`);
    const chosen = (path: string) => {
      const server = named(root, "server");
      const location = server && locationFor(server, path);
      return location?.children?.[0]?.args[0];
    };
    const paths = ["/ws", "/ws2", "/x", "/static/a.io", "/a.io", "/chat/1"];
    assertEquals(paths.map(chosen), ["3", "2", "1", "4", "5", "6"]);
  });

  it("takes only the location of a known path, or the ones that look like WebSockets, else all", () => {
    const config = (path: string | undefined, more: string) =>
      nginxConfig(
        tree(
          `server { location / { proxy_pass http://a; } location /chat { proxy_pass http://b; } ${more} }`,
        ),
        path,
      )
        .webSocketRoutes.map((route) => route.path);
    assertEquals(config("/chat", ""), ["/chat"]);
    assertEquals(config(undefined, "location /socket.io/ { proxy_pass http://c; }"), ["/socket.io/"]);
    assertEquals(config(undefined, ""), ["/", "/chat"]);
  });

  it("has times and sizes with units", () => {
    assertEquals(["90", "1m30s", "500ms", "1h 5m", "2x"].map(nginxSeconds), [90, 90, 0.5, 3900, undefined]);
    assertEquals(["8k", "1M", "7", "x"].map(nginxBytes), [8192, 1024 ** 2, 7, undefined]);
  });
});

describe("an HAProxy file", () => {
  const words = (line: string) => splitWords(line, new Map([["PORT", "81"]]));

  it("is read into words: quotes within words, escapes, comments, variables that it sets itself", () => {
    assertEquals(words("  bind  *:80 # comment"), { words: ["bind", "*:80"] });
    assertEquals(words(`a\\ b 'c "d' "e \\"f" g"h i"j 'k#l' m\\#n`), {
      words: ["a b", 'c "d', 'e "f', "gh ij", "k#l", "m#n"],
    });
    assertEquals(words('bind ":${PORT}" ":$PORT" "${OTHER-9}" "${OTHER}" \'${PORT}\''), {
      words: ["bind", ":81", ":81", "9", "${OTHER}", "${PORT}"],
    });
    assertEquals(words('bind "x'), { problem: "unmatched quote at position 5" });
  });

  it("has sections that inherit from the defaults before them, or from those that they name", () => {
    const path = bench.write(
      "haproxy",
      `defaults a
  timeout client 1m
  option forwardfor
defaults b
  timeout client 2m
frontend x
  bind :1
frontend y from a
  bind :2
  no option forwardfor
`,
    );
    const { sections, problems } = readHaproxy([path]);
    assertEquals(problems, []);
    const [, , x, y] = sections;
    assertEquals([x, y].map((one) => one && timeout(one, "client")?.seconds), [120, 60]);
    assertEquals(y && lineOf(y, "option", "forwardfor"), undefined);
    assertEquals(lineOf(y?.defaults, "option", "forwardfor")?.place.line, 3);
  });

  it("passes what a condition sends to a backend, and goes on when that depends on more", () => {
    const path = bench.write(
      "haproxy",
      `frontend x
  mode http
  bind :1
  acl is_ws hdr(Upgrade) -i websocket
  use_backend guarded if { src 10.0.0.0/8 }
  use_backend ws if is_ws { path_beg /ws }
  default_backend web
backend guarded
  server a 127.0.0.1:1
backend ws
  server a 127.0.0.1:2
backend web
  server a 127.0.0.1:3
`,
    );
    const routes = (at: string | undefined) =>
      haproxyConfig(readHaproxy([path]), at).webSocketRoutes.map(({ backend }) => backend.name);
    assertEquals(routes("/ws"), ["guarded", "ws"]);
    assertEquals(routes("/other"), ["guarded", "web"]);
    assertEquals(routes(undefined), ["ws"]);
  });

  it("has conditions that hold, do not, or depend", () => {
    const request = { path: "/api/x", isUpgrade: false };
    const verdict = (condition: string) => holds(`deny ${condition}`.split(" "), [], request);
    assertEquals(verdict(""), true);
    assertEquals(verdict("if { path_beg /api }"), true);
    assertEquals(verdict("unless { path_beg /api }"), false);
    assertEquals(verdict("if { path /api } or { path_end x }"), true);
    assertEquals(verdict("if { path -m sub -i API }"), true);
    assertEquals(verdict("if ! { path_beg /api } { src 10.0.0.1 }"), false);
    assertEquals(verdict("if { path_beg /api } { src 10.0.0.1 }"), undefined);
    assertEquals(verdict("if { hdr(upgrade) -i websocket }"), false);
    assertEquals(verdict("if METH_GET"), true);
  });

  it("has times in milliseconds unless there is a unit", () => {
    assertEquals(["50000", "50s", "1m", "2h", "x"].map(haproxySeconds), [50, 50, 60, 7200, undefined]);
  });
});

describe("the program of a file", () => {
  it("is recognised by its content", () => {
    assertEquals(recognise([bench.write("nginx", RIGHT.nginx)]), "nginx");
    assertEquals(recognise([bench.write("haproxy", RIGHT.haproxy)]), "haproxy");
    assertEquals(recognise([bench.write("nginx", "server { listen 80; }\n")]), "nginx");
    assertEquals(recognise([bench.write("nginx", "hello\n")]), undefined);
  });
});
