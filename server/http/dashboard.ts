/**
 * `GET /dashboard`: the page that shows what the nodes say of themselves, and the files it is made of. They hold no
 * figures and no secret, so they are for everybody; what the page shows comes over the WebSocket, to those with a key.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { HttpResponse } from "../engine.ts";
import { notFound } from "./answers.ts";
import type { Route } from "./router.ts";

/** In the source tree and, as `npm run build` puts it, beside the one file that the server is then. */
const FOLDERS = ["../dashboard/page/", "./page/"];
const OWN_FILES = [
  "app.js",
  "charts.js",
  "cluster.js",
  "connection.js",
  "panels.js",
  "units.js",
  "style.css",
  "icon.svg",
];
/** Of the package uplot, in its folder dist. */
const UPLOT_FILES = ["uPlot.iife.min.js", "uPlot.min.css"];

const types: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  html: "text/html; charset=utf-8",
};

/** Nothing from elsewhere, nothing inline, no form sent anywhere, in nobody's frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const headers = {
  "cache-control": "no-cache",
  "content-security-policy": POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * The routes of the page. Its files are read here, once.
 * @throws {Error} when one of them cannot be read
 */
export function dashboardRoutes(webSocketPath: string): readonly Route[] {
  const folder = findFolder();
  const html = readFileSync(`${folder}index.html`, "utf8").replace(
    "{webSocketPath}",
    () => escaped(webSocketPath),
  );
  const page = answerOf("index.html", html);
  const files = new Map(OWN_FILES.map((name) => [name, answerOf(name, readFileSync(folder + name))]));
  for (const name of UPLOT_FILES) files.set(name, answerOf(name, readFileSync(findUplot(folder, name))));
  const open = { method: "GET", needsKey: false } as const;
  const moved: HttpResponse = { status: 308, headers: { location: "../dashboard" }, body: "" };
  return [
    { ...open, path: "/dashboard", answer: () => page },
    // The page names its files relative to its own path.
    { ...open, path: "/dashboard/", answer: () => moved },
    { ...open, path: "/dashboard/{file}", answer: (_, name) => files.get(name) ?? notFound() },
  ];
}

function answerOf(name: string, body: string | Uint8Array): HttpResponse {
  const type = types[name.slice(name.lastIndexOf(".") + 1)] as string; // the names are ours
  return { status: 200, headers: { "content-type": type, ...headers }, body };
}

function findFolder(): string {
  const folders = FOLDERS.map((folder) => fileURLToPath(new URL(folder, import.meta.url)));
  return folders.find((folder) => existsSync(`${folder}index.html`)) ?? folders[0] as string; // FOLDERS has one
}

function findUplot(folder: string, name: string): string {
  if (existsSync(folder + name)) return folder + name;
  return createRequire(import.meta.url).resolve(`uplot/dist/${name}`);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
