#!/usr/bin/env python3
"""Writes vectors.json: a second implementation of the formats and hashes of package
block, made from the text of its package comment and from the papers, with nothing
but Python's standard library. Run it after a change of format, and compare what it
says with what the Go code does: go test ./block.

    python3 block/testdata/vectors.py > block/testdata/vectors.json
"""
import hashlib
import json


def sha256(b): return hashlib.sha256(b).digest()


def be(n, size): return n.to_bytes(size, "big")


# SipHash-2-4 (Aumasson and Bernstein 2012), checked against the paper's appendix A.

M64 = (1 << 64) - 1


def siphash(key, msg):
    k0, k1 = (int.from_bytes(key[i:i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
         k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rotl(x, n): return ((x << n) | (x >> (64 - n))) & M64

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & M64
            v[2] = (v[2] + v[3]) & M64
            v[1] = rotl(v[1], 13) ^ v[0]
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[1]) & M64
            v[0] = (v[0] + v[3]) & M64
            v[1] = rotl(v[1], 17) ^ v[2]
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = rotl(v[2], 32)

    tail = msg[len(msg) // 8 * 8:]
    words = [int.from_bytes(msg[i:i + 8], "little") for i in range(0, len(msg) // 8 * 8, 8)]
    words.append(int.from_bytes(tail, "little") | (len(msg) & 0xff) << 56)
    for m in words:
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


assert siphash(bytes(range(16)), bytes(range(15))) == 0xa129ca6149be45e5


# Merkle tree hash (RFC 6962, section 2.1), checked against Certificate
# Transparency's well-known tree of eight leaves.

def mth(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


assert mth([bytes.fromhex(x) for x in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f")]).hex() == \
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


# Ed25519 (RFC 8032, section 5.1), checked against its second test.

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    x1, y1 = a
    x2, y2 = b
    k = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P)


def mul(n, a):
    out = (0, 1)
    while n:
        if n & 1:
            out = add(out, a)
        a = add(a, a)
        n >>= 1
    return out


BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960)


def point(a): return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


def secret(seed):
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | 1 << 254
    return a, h[32:]


def public(seed): return point(mul(secret(seed)[0], BASE))


def hmod(*parts): return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % Q


def sign(seed, msg):
    a, prefix = secret(seed)
    r = hmod(prefix, msg)
    big_r = point(mul(r, BASE))
    s = (r + hmod(big_r, public(seed), msg) * a) % Q
    return big_r + s.to_bytes(32, "little")


assert sign(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), b"\x72").hex() == \
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" \
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"


# The formats.

def transaction(seed, genesis, nonce, expiry, payload):
    head = be(1, 1) + be(0, 1) + public(seed) + be(nonce, 8) + be(expiry, 8) + be(len(payload), 4) + payload
    return head + sign(seed, b"grapevine transaction 1\0" + genesis + head)


def short_key(parent, height, root):
    return sha256(b"grapevine short key 1\0" + parent + be(height, 8) + root)[:16]


def short_list(key, ids): return b"".join(siphash(key, i).to_bytes(8, "little")[:6] for i in ids)


def main():
    genesis = sha256(b"the genesis of the test vectors")
    sender, orderer = bytes([2] * 32), bytes([1] * 32)
    txs = [transaction(sender, genesis, 7, 100, b""),
           transaction(sender, genesis, 8, 101, b"hello"),
           transaction(orderer, genesis, 2**64 - 1, 2**63, bytes(range(256)))]
    ids = [sha256(t) for t in txs]
    parent = sha256(b"the parent of the test vectors")
    body, root = b"".join(txs), mth(ids)
    key = short_key(parent, 5, root)
    shorts = short_list(key, ids)
    header = (be(1, 1) + genesis + be(0, 4) + be(5, 8) + parent + be(1_700_000_000_123_456_789, 8) +
              be(len(txs), 4) + be(len(body), 4) + root + sha256(b"grapevine short list 1\0" + shorts) +
              be(0, 1) + bytes(32) + public(orderer))
    assert len(header) == 222
    signature = sign(orderer, b"grapevine header 1\0" + genesis + header)
    many = [sha256(be(i, 4)) for i in range(21)]
    print(json.dumps({
        "genesis": genesis.hex(),
        "sender_seed": sender.hex(), "sender": public(sender).hex(),
        "orderer_seed": orderer.hex(), "orderer": public(orderer).hex(),
        "transactions": [{"bytes": t.hex(), "id": i.hex()} for t, i in zip(txs, ids)],
        "parent": parent.hex(), "height": 5, "time": "1700000000123456789",
        "tx_root": root.hex(), "short_key": key.hex(), "short_ids": shorts.hex(),
        "header": header.hex(), "header_signature": signature.hex(), "block_id": sha256(header).hex(),
        "block": (header + signature + body).hex(),
        "siphash": {"key": bytes(range(16)).hex(), "of_00_to_1f": "%016x" % siphash(bytes(range(16)), bytes(range(32)))},
        "roots_of_sha256_of_0_to_n_minus_1": [mth(many[:n]).hex() for n in range(len(many) + 1)],
    }, indent=1))


main()
