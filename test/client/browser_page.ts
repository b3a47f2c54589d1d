/** A page of React that the browser test bundles: what a topic brings, who is there, and where the connection stands. */
import { createElement, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "../../client/mod.ts";
import { ClientProvider, useConnection, usePresence, useTopic } from "../../client/react.ts";

const client = createClient({
  url: new URLSearchParams(location.search).get("server") ?? "",
  backoff: { minMs: 10, maxMs: 100 },
});

function Room() {
  const { messages } = useTopic<number>("room.a", { limit: 5 });
  const { members } = usePresence("room.a");
  return createElement(
    "p",
    { id: "room" },
    `${messages.map(({ data }) => data).join(" ")} of ${members.length}`,
  );
}

function App() {
  const [isThere, setThere] = useState(true);
  return createElement(
    "main",
    null,
    createElement("p", { id: "state" }, useConnection()),
    createElement("button", { type: "button", onClick: () => setThere(!isThere) }, "leave"),
    isThere ? createElement(Room) : null,
  );
}

const root = createRoot(document.getElementById("root") as HTMLElement);
root.render(createElement(StrictMode, null, createElement(ClientProvider, { client }, createElement(App))));
