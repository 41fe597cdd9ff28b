import assert from "node:assert/strict";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { inNetwork, IpAddress, networkOf, parseIp } from "../../src/bytes/ip_address.ts";

const bytesOf = (text: string) => parseIp(text) && [...parseIp(text)!.bytes];

/** ipaddr.js takes `::192.0.2.1` for `::ffff:192.0.2.1`; RFC 4291 and everybody else don't. */
const theirBytesOf = (text: string) =>
  ipaddr.process(text.replace(/^::(?=\d+\.)/, "0:0:0:0:0:0:")).toByteArray();

Deno.test("addresses are read in every spelling of RFC 4291, and written in the one of RFC 5952", () => {
  const table: [text: string, canonical: string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::13.1.68.3", "::d01:4403"],
    ["1:2:3:4:5:6:13.1.68.3", "1:2:3:4:5:6:d01:4403"],
    ["::FFFF:129.144.52.38", "129.144.52.38"],
    ["::ffff:8190:3426", "129.144.52.38"],
    ["0:0:0:0:0:ffff:8190:3426", "129.144.52.38"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    // RFC 5952 §4: leading zeros, one group alone, the longest run, the first of two.
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:1:0:0:1:1:1", "::1:0:0:1:1:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ];
  for (const [text, canonical] of table) assert.equal(parseIp(text)?.toString(), canonical, text);
});

Deno.test("nothing else is an address", () => {
  const ipv4 = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2.3.",
    ".1.2.3",
    "01.2.3.4",
    "0x1.2.3.4",
    "127.1",
    "1",
  ];
  const ipv6 = [
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
  ];
  const odd = [
    "1.2.3.4:",
    "::1.2.3",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "::01.2.3.4",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::g",
    "::00001",
  ];
  const around = [
    "[::1]",
    "fe80::1%eth0",
    " ::1",
    "::1 ",
    "::1\n",
    "1.2.3.4\n",
    "+1.2.3.4",
    "::-1",
    "１.2.3.4",
    "1:",
  ];
  for (const text of [...ipv4, ...ipv6, ...odd, ...around]) {
    assert.equal(parseIp(text), undefined, JSON.stringify(text));
  }
});

Deno.test("every address reads as ipaddr.js reads it, and is written as URLs write it", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      assert.deepEqual(bytesOf(text), theirBytesOf(text));
      const address = parseIp(text)!;
      const inUrl = new URL(`http://${text.includes(":") ? `[${text}]` : text}`).hostname;
      assert.equal(`${address}`, inUrl.replace(/^\[(.*)\]$/, "$1"));
    }),
    { numRuns: 500 },
  );
});

Deno.test("runs of zeros are written as URLs write them", () => {
  const group = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 1, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const address = new IpAddress(Uint8Array.from(groups.flatMap((value) => [value >> 8, value & 0xff])));
      const full = groups.map((value) => value.toString(16)).join(":");
      assert.equal(`[${address}]`, new URL(`http://[${full}]`).hostname);
      // An IPv4 address in IPv6's clothes (::ffff:0:0/96) is read as what it is.
      const mapped = groups.slice(0, 5).every((value) => value === 0) && groups[5] === 0xffff;
      if (!mapped) assert.deepEqual(parseIp(`${address}`), address);
    }),
    { numRuns: 500 },
  );
});

Deno.test("what is read from a damaged address, ipaddr.js reads alike", () => {
  const characters = [..."0123456789abcdef:.%/ x-"];
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6()),
      fc.nat(),
      fc.constantFrom("", ...characters),
      fc.boolean(),
      (text, at, character, replaces) => {
        at %= text.length + 1;
        const damaged = text.slice(0, at) + character + text.slice(replaces ? at + 1 : at);
        const read = bytesOf(damaged);
        if (read) assert.deepEqual(read, theirBytesOf(damaged));
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("networks are those of ipaddr.js at every prefix length", () => {
  for (const text of ["203.0.113.219", "2001:db8:a5a5:5a5a:ffff:1:c3c3:3c3c"]) {
    const address = parseIp(text)!;
    const theirs = ipaddr.parse(text) as ipaddr.IPv4 & ipaddr.IPv6;
    for (let prefix = 0; prefix <= address.bits; prefix++) {
      const network = networkOf(address, prefix);
      const family = address.bits === 32 ? ipaddr.IPv4 : ipaddr.IPv6;
      assert.deepEqual(
        [...network.bytes],
        family.networkAddressFromCIDR(`${text}/${prefix}`).toByteArray(),
      );
      for (let bit = 0; bit < address.bits; bit++) {
        const other = new IpAddress(
          address.bytes.map((byte, i) => i === bit >> 3 ? byte ^ 0x80 >> (bit & 7) : byte),
        );
        assert.equal(inNetwork(other, network, prefix), bit >= prefix, `bit ${bit} of /${prefix}`);
        assert.equal(theirs.match(ipaddr.parse(`${other}`) as typeof theirs, prefix), bit >= prefix);
      }
    }
  }
});

Deno.test("no address of one family lies in a network of the other", () => {
  assert.equal(inNetwork(parseIp("10.0.0.1")!, parseIp("::")!, 0), false);
  assert.equal(inNetwork(parseIp("::1")!, parseIp("0.0.0.0")!, 0), false);
});
