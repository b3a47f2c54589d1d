/**
 * nginx with its module nchan: a location in which every WebSocket publishes to the channel of its query and receives
 * what is published there. One process, no access log, messages kept as long as there is a receiver behind.
 */
import { existsSync } from "node:fs";
import { findProgram } from "../../scripts/debian.ts";
import type { Contender } from "../contender.ts";
import { lacksEcho } from "../contender.ts";
import { HOST, LISTEN_BACKLOG } from "./settings.ts";

const MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

const CONFIGURATION = `
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
load_module ${MODULE};
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 256M;
  server {
    listen ${HOST}:{port} backlog=${LISTEN_BACKLOG};
    location = /ws {
      nchan_pubsub websocket;
      nchan_channel_id $arg_topic;
      nchan_message_buffer_length 1024;
      nchan_subscriber_first_message newest;
      nchan_websocket_ping_interval 0;
    }
  }
}
`;

const nginx = findProgram("nginx");

export const nchan: Contender = {
  name: "nchan",
  protocol: "nchan",
  startSeconds: 0.2,
  ...(nginx !== undefined && { versionCommand: [nginx, "-v"] }),
  launch(setup) {
    if (nginx === undefined || !existsSync(MODULE)) {
      return "missing: apt-get install nginx libnginx-mod-nchan";
    }
    return lacksEcho(setup) ?? {
      command: [nginx, "-p", "{folder}", "-c", "{folder}/nginx.conf"],
      files: { "nginx.conf": CONFIGURATION },
      url: `ws://${HOST}:{port}/ws`,
    };
  },
};
