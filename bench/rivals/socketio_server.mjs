// Socket.IO on one core, as its documentation has it for speed: WebSocket alone, no compression, the initial HTTP
// request let go, `bufferutil`; connection state recovery on, in memory. A client asks for its subject as it connects.
//
// Publishers connect to a local socket and send lines, `SUBJECT DATA` with data as JSON, or `.`: answered by `.`, when
// everything before it was emitted.
//
//   node socketio_server.mjs FOLDER_OF_NODE_MODULES PORT CERTIFICATE KEY PUBLISH_SOCKET

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { createServer as createLocalServer } from "node:net";
import { createInterface } from "node:readline";

const [folder, port, certificate, key, local] = process.argv.slice(2);
const { Server } = createRequire(`${folder}/`)("socket.io");

const https = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
const io = new Server(https, {
  transports: ["websocket"],
  allowUpgrades: false,
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
  connectTimeout: 300_000,
  connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
});
io.engine.on("connection", (raw) => {
  raw.request = null;
});
io.on("connection", (socket) => {
  if (!socket.recovered) socket.join(socket.handshake.auth.subject);
});

createLocalServer((publisher) => {
  createInterface({ input: publisher }).on("line", (line) => {
    if (line === ".") {
      publisher.write(".\n");
      return;
    }
    const space = line.indexOf(" ");
    io.to(line.slice(0, space)).emit("event", JSON.parse(line.slice(space + 1)));
  });
}).listen(local, () => https.listen(Number(port), "127.0.0.1", 4096));

process.on("SIGTERM", () => process.exit(0));
