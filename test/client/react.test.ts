/**
 * The React hooks with React's own testing library, in a page of happy-dom, against a real server. On Node only: the
 * hooks are the same JavaScript everywhere, and the libraries are made for Node.
 */
import { after, afterEach, before, describe, it } from "node:test";
import process from "node:process";
import { assertEquals, assertThrows } from "@std/assert";
import { type Client, createClient } from "../../client/mod.ts";
import { startServer, type TestServer, unlimited } from "../helpers/server.ts";
import { testWebSocket } from "../helpers/web_socket.ts";

const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;

/** A page's globals, for React and its testing library. */
async function openPage(): Promise<() => Promise<void>> {
  const { Window } = await import("happy-dom");
  const window = new Window();
  const { document, navigator } = window;
  const page = { window, document, navigator, IS_REACT_ACT_ENVIRONMENT: true };
  // Newer versions of Node have a navigator that cannot be assigned to.
  for (const [name, value] of Object.entries(page)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return async () => {
    for (const name of Object.keys(page)) Reflect.deleteProperty(globalThis, name);
    await window.happyDOM.close();
  };
}

describe("the React hooks", { skip: !isNode && "they are tested on Node" }, async () => {
  if (!isNode) return;
  const closePage = await openPage();
  // React looks for the page when it is loaded.
  const { act, cleanup, render, screen, waitFor } = await import("@testing-library/react");
  const { createElement, StrictMode } = await import("react");
  const { renderToString } = await import("react-dom/server");
  const { ClientProvider, useClient, useConnection, usePresence, useTopic } = await import(
    "../../client/react.ts"
  );

  let server: TestServer;
  const clients: Client[] = [];
  before(async () => {
    server = await startServer({ ...unlimited, presence: ["room.>"], shutdownTimeoutSeconds: 0 });
  });
  afterEach(async () => {
    cleanup();
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });
  after(async () => {
    await server.close();
    await closePage();
  });

  function connect(): Client {
    const client = createClient({ url: server.url, WebSocket: testWebSocket });
    clients.push(client);
    return client;
  }

  function Topic({ topic }: { topic: string }) {
    const { messages, isSubscribed } = useTopic<number>(topic, { limit: 3 });
    const text = `${isSubscribed ? "on" : "off"} ${messages.map(({ data }) => data).join(",")}`;
    return createElement("p", { "data-testid": topic }, text);
  }

  function State() {
    return createElement("p", { "data-testid": "state" }, useConnection());
  }

  function Members({ topic }: { topic: string }) {
    const { members, isKnown } = usePresence(topic);
    return createElement("p", { "data-testid": "members" }, `${isKnown} ${members.length}`);
  }

  const text = (id: string) => screen.getByTestId(id).textContent;
  const subscriptions = async () => {
    const metrics = await (await fetch(server.url.replace("ws:", "http:").replace("/ws", "/metrics"))).text();
    return Number(/^millrace_subscriptions (\d+)/m.exec(metrics)?.[1]);
  };

  it("show a topic's newest messages and the connection, under StrictMode", async () => {
    const client = connect();
    const view = createElement(State, null);
    render(createElement(
      StrictMode,
      null,
      createElement(ClientProvider, { client }, view, createElement(Topic, { topic: "a" })),
    ));
    await waitFor(() => assertEquals(text("a"), "on "));
    assertEquals(text("state"), "open");
    await act(async () => {
      for (let data = 1; data <= 5; data++) await client.publish("a", data);
    });
    await waitFor(() => assertEquals(text("a"), "on 3,4,5"));
  });

  it("share one subscription, which ends behind the last user", async () => {
    const client = connect();
    const tree = (...topics: string[]) =>
      createElement(
        ClientProvider,
        { client },
        ...topics.map((topic, key) => createElement("div", { key }, createElement(Topic, { topic }))),
      );
    const { rerender } = render(tree("b", "b"));
    await waitFor(() => assertEquals(screen.getAllByTestId("b").map((p) => p.textContent), ["on ", "on "]));
    assertEquals(await subscriptions(), 1);
    rerender(tree("b"));
    await client.publish("other", 0);
    assertEquals(await subscriptions(), 1);
    rerender(tree());
    await act(async () => {
      // The unsubscribe goes ahead of it.
      await client.publish("other", 0);
    });
    assertEquals(await subscriptions(), 0);
  });

  it("show who is there, and who comes and goes", async () => {
    const client = connect();
    render(createElement(ClientProvider, { client }, createElement(Members, { topic: "room.a" })));
    await waitFor(() => assertEquals(text("members"), "true 1"));
    const other = connect();
    await act(() => other.subscribe("room.a", () => {}).ready);
    await waitFor(() => assertEquals(text("members"), "true 2"));
    await act(() => other.close());
    await waitFor(() => assertEquals(text("members"), "true 1"));
  });

  it("render on a server, where nothing connects", () => {
    const client = connect();
    const html = renderToString(
      createElement(
        ClientProvider,
        { client },
        createElement(State),
        createElement(Topic, { topic: "a" }),
        createElement(Members, { topic: "room.a" }),
      ),
    );
    assertEquals(html.replaceAll(/<[^>]*>/g, "|"), "|idle||off ||false 0|");
    assertEquals(client.state, "idle");
  });

  it("say so when there is no provider", () => {
    function Lost() {
      useClient();
      return null;
    }
    assertThrows(() => renderToString(createElement(Lost)), Error, "ClientProvider");
  });
});
