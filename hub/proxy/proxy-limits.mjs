// Raise Node.js's time limit for receiving a request, for which configurable-http-proxy has no option. When the headers
// of a request have arrived, Node.js publishes an event, which contains the HTTP server with this limit:
// https://nodejs.org/api/diagnostics_channel.html#http

import { subscribe } from "node:diagnostics_channel";

// One day, which is also nginx's limit for WebSockets. With Node.js's default, five minutes, a slow upload would get
// status 408: at 1 Mbit/s, 60 MB take eight minutes. nginx ends an upload that has stalled (client_body_timeout).
const REQUEST_MILLISECONDS = 86_400_000;

subscribe("http.server.request.start", ({ server }) => {
  server.requestTimeout = REQUEST_MILLISECONDS;
});
