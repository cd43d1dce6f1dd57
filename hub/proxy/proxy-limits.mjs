// Raises the time limit of Node.js for receiving a request. configurable-http-proxy has no option for it. Node.js
// publishes an event for each request, with its server, when the headers have arrived:
// https://nodejs.org/api/diagnostics_channel.html#http

import { subscribe } from "node:diagnostics_channel";

// One day, as for WebSockets behind nginx. With Node.js's default, five minutes, a slow upload gets status 408: 60 MB
// take eight minutes at 1 Mbit/s. nginx ends an upload that has stopped (client_body_timeout).
const REQUEST_MILLISECONDS = 86_400_000;

subscribe("http.server.request.start", ({ server }) => {
  server.requestTimeout = REQUEST_MILLISECONDS;
});
