// This module raises the time in which Node.js must receive a whole request, because configurable-http-proxy has no
// option for this limit. When the headers of a request have arrived, Node.js publishes an event that contains the
// server object: https://nodejs.org/api/diagnostics_channel.html#http

import { subscribe } from "node:diagnostics_channel";

// One day, which is also nginx's limit for an idle WebSocket. After Node.js's default, five minutes, a slow upload
// would fail with status 408. For example, 60 MB take eight minutes at 1 Mbit/s. nginx ends an upload when no data
// arrives (client_body_timeout).
const REQUEST_MILLISECONDS = 86_400_000;

subscribe("http.server.request.start", ({ server }) => {
  server.requestTimeout = REQUEST_MILLISECONDS;
});
