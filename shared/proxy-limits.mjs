// Raises the limit of Node.js for the time in which a request must arrive. configurable-http-proxy has no option for it.
// Node.js announces each request, with its server, when the headers of the request have arrived:
// https://nodejs.org/api/diagnostics_channel.html#http

import { subscribe } from "node:diagnostics_channel";

// One day, as for WebSockets behind nginx. After Node.js's five minutes a slow upload got status 408: 60 MB take eight
// minutes at 1 Mbit/s. nginx ends an upload that has stopped (client_body_timeout).
const REQUEST_MILLISECONDS = 86_400_000;

subscribe("http.server.request.start", ({ server }) => {
  server.requestTimeout = REQUEST_MILLISECONDS;
});
