import assert from "node:assert/strict";
import { findSocket } from "../../src/deno/socket_ends.ts";

const TABLE4 =
  `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5B9C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0000 100 0 0 10 0
   1: 0100007F:5B9C 0202000A:94AC 01 00000000:00000000 02:000A 00000000     0        0 1998165 2 0000 20 4 30 10 -1
`;
const TABLE6 = `  sl  local_address                         remote_address                        st …
   1: B80D0120000000000000000001000000:0016 0000000000000000FFFF00000201A8C0:D431 01 0:0 0:0 0 0 0 42 1
`;

Deno.test("the ends of a socket are read from the kernel's table", () => {
  assert.deepEqual(findSocket(TABLE4, "1998165"), {
    local: { address: "127.0.0.1", port: 23452 },
    remote: { address: "10.0.2.2", port: 38060 },
  });
  assert.equal(findSocket(TABLE4, "199816"), undefined);
  assert.equal(findSocket("", "1"), undefined);
});

Deno.test("an IPv4 client of a socket for both families is shown as IPv4", () => {
  assert.deepEqual(findSocket(TABLE6, "42"), {
    local: { address: "2001:db8::1", port: 22 },
    remote: { address: "192.168.1.2", port: 54321 },
  });
});
