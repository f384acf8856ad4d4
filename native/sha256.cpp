// SHA-256 through the OpenSSL that Node carries, which uses the processor's own instructions; where a build of Node
// hides it, the plain algorithm. @source FIPS 180-4, sections 4.2.2, 5.3.3 and 6.2
#include "sha256.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tunesmith {
namespace {

// OpenSSL of Node, looked up at run time, so that building needs no headers of OpenSSL.
struct Library {
  void* (*make)() = nullptr;
  void (*free)(void*) = nullptr;
  const void* (*sha256)() = nullptr;
  int (*begin)(void*, const void*, void*) = nullptr;
  int (*update)(void*, const void*, size_t) = nullptr;
  int (*finish)(void*, unsigned char*, unsigned int*) = nullptr;
  bool found = false;

  Library() {
    // For tests of the plain algorithm.
    const char* off = std::getenv("TUNESMITH_OPENSSL");
    if (off != nullptr && std::strcmp(off, "0") == 0) return;
    found = find(make, "EVP_MD_CTX_new") && find(free, "EVP_MD_CTX_free") && find(sha256, "EVP_sha256") &&
            find(begin, "EVP_DigestInit_ex") && find(update, "EVP_DigestUpdate") && find(finish, "EVP_DigestFinal_ex");
  }

 private:
  template <typename Function> static bool find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
  }
};

const Library& library() {
  static const Library found;
  return found;
}

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr uint32_t start_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

uint32_t turned(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

}  // namespace

Sha256::Sha256() {
  std::copy(std::begin(start_state), std::end(start_state), state_);
  const Library& openssl = library();
  if (!openssl.found) return;
  context_ = openssl.make();
  if (context_ == nullptr) throw std::bad_alloc();
  if (openssl.begin(context_, openssl.sha256(), nullptr) == 1) return;
  // A policy may forbid it.
  openssl.free(context_);
  context_ = nullptr;
}

Sha256::~Sha256() {
  if (context_ != nullptr) library().free(context_);
}

void Sha256::block(const uint8_t* data, size_t count) {
  for (; count > 0; count--, data += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = big_endian(data + 4 * i);
    for (int i = 16; i < 64; i++) {
      const uint32_t s0 = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
      const uint32_t s1 = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state_[0], b = state_[1], c = state_[2], d = state_[3], e = state_[4], f = state_[5], g = state_[6],
             h = state_[7];
    for (int i = 0; i < 64; i++) {
      const uint32_t t1 =
          h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
      const uint32_t t2 = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    const uint32_t sum[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state_[i] += sum[i];
  }
}

void Sha256::update(const void* data, size_t bytes) {
  if (context_ != nullptr) {
    library().update(context_, data, bytes);
    return;
  }
  auto* from = static_cast<const uint8_t*>(data);
  bytes_ += bytes;
  if (filled_ > 0) {
    const size_t taken = std::min(bytes, 64 - filled_);
    std::memcpy(rest_ + filled_, from, taken);
    filled_ += taken;
    from += taken;
    bytes -= taken;
    if (filled_ < 64) return;
    block(rest_, 1);
    filled_ = 0;
  }
  block(from, bytes / 64);
  filled_ = bytes % 64;
  std::memcpy(rest_, from + (bytes - filled_), filled_);
}

std::string Sha256::finish() {
  uint8_t digest[32];
  if (context_ != nullptr) {
    unsigned int length = sizeof digest;
    library().finish(context_, digest, &length);
  } else {
    const uint64_t bits = bytes_ * 8;
    const uint8_t end = 0x80, zeros[64] = {};
    update(&end, 1);
    update(zeros, (filled_ <= 56 ? 56 : 120) - filled_);
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
    update(length, 8);
    for (int i = 0; i < 32; i++) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  std::string text;
  for (uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace tunesmith
