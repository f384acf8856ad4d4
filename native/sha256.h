// SHA-256, as fast as the processor allows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace tunesmith {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* data, size_t bytes);
  // Lower-case hexadecimal. Nothing may be added afterwards.
  std::string finish();

 private:
  void block(const uint8_t* data, size_t count);

  void* context_ = nullptr;  // of OpenSSL, where the process has it
  uint32_t state_[8];
  uint8_t rest_[64];
  size_t filled_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace tunesmith
