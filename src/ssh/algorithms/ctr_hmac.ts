/**
 * AES-CTR (RFC 4344 §4) with HMAC (RFC 6668), in both orders.
 *
 * Encrypt-then-MAC leaves packet_length in clear and checks the tag before decrypting anything. Encrypt-and-MAC
 * (RFC 4253 §6.4) has to decrypt the first block, and act on a length that nobody vouches for, before it can find
 * the tag: who flips bits of the length learns from when this side gives up how they decrypted. Against that the packet
 * layer reads on to the most that a packet may have before it reports a bad length (as OpenSSH does), and the
 * default lists leave encrypt-and-MAC out.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { AesCtr, CryptoProvider, Hmac } from "../../platform/crypto.ts";
import { readLength } from "./clear.ts";
import type { Mac } from "./macs.ts";
import type { Opener, Sealer } from "./protection.ts";

const BLOCK = 16;

interface Keys {
  readonly iv: Bytes;
  readonly key: Bytes;
  readonly mac: Bytes;
}

/** What both directions have. */
class CtrHmac {
  readonly blockSize = BLOCK;
  readonly lengthCounts: boolean;
  readonly tagLength: number;
  protected readonly encryptThenMac: boolean;
  protected readonly ctr: AesCtr;
  protected readonly hmac: Hmac;
  /** The tag just computed. */
  protected readonly tag: Bytes;

  constructor(crypto: CryptoProvider, keys: Keys, mac: Mac) {
    this.encryptThenMac = mac.encryptThenMac;
    this.lengthCounts = !mac.encryptThenMac;
    this.tagLength = mac.length;
    this.tag = new Uint8Array(mac.length);
    this.ctr = crypto.aesCtr(keys.key, keys.iv);
    this.hmac = crypto.hmac(mac.hash, keys.mac);
  }

  free(): void {
    this.ctr.free();
    this.hmac.free();
  }
}

export class CtrHmacSealer extends CtrHmac implements Sealer {
  seal(sequence: number, packet: Bytes): void {
    const end = packet.length - this.tagLength;
    if (this.encryptThenMac) {
      this.ctr.xor(packet, 4, end);
      this.hmac.sign(sequence, packet, end, this.tag);
    } else {
      this.hmac.sign(sequence, packet, end, this.tag);
      this.ctr.xor(packet, 0, end);
    }
    packet.set(this.tag, end);
  }
}

export class CtrHmacOpener extends CtrHmac implements Opener {
  get headLength(): number {
    return this.encryptThenMac ? 4 : BLOCK;
  }

  length(_sequence: number, head: Bytes): number {
    if (!this.encryptThenMac) this.ctr.xor(head, 0, BLOCK);
    return readLength(head);
  }

  open(sequence: number, packet: Bytes): boolean {
    const end = packet.length - this.tagLength;
    // The first block was decrypted when the length was asked for.
    if (!this.encryptThenMac) this.ctr.xor(packet, BLOCK, end);
    this.hmac.sign(sequence, packet, end, this.tag);
    if (!this.#tagIsAt(packet, end)) return false;
    if (this.encryptThenMac) this.ctr.xor(packet, 4, end);
    return true;
  }

  /** In time that depends on the length alone. */
  #tagIsAt(packet: Bytes, at: number): boolean {
    let difference = 0;
    for (let i = 0; i < this.tagLength; i++) difference |= this.tag[i] ^ packet[at + i];
    return difference === 0;
  }
}
