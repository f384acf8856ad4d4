// The process-wide table of live tensors. A handle carries the generation of its slot, so a freed handle is always noticed,
// even when its slot has been taken again. Reads take no lock: slots live in blocks that never move.
#include "binding.h"

#include <atomic>
#include <memory>

namespace tunesmith {
namespace {

constexpr int64_t kSlots = int64_t{1} << 22;
constexpr int64_t kBlock = 4096;

struct Slot {
  at::Tensor tensor;
  std::atomic<uint32_t> generation{1};
  std::atomic<uint16_t> owner{0};
  std::atomic<bool> live{false};
};

struct Table {
  std::mutex mutex;
  std::atomic<Slot*> blocks[kSlots / kBlock] = {};
  std::vector<int32_t> freeSlots;
  int64_t used = 0;
  std::atomic<int64_t> live{0};

  Slot& at(int64_t index) { return blocks[index / kBlock].load(std::memory_order_acquire)[index % kBlock]; }
};

Table& table() {
  static Table* instance = new Table;  // never destroyed: finalizers may run at process exit
  return *instance;
}

Slot* find(Handle handle) {
  if (handle <= 0) return nullptr;
  const int64_t index = handle % kSlots;
  Slot* block = table().blocks[index / kBlock].load(std::memory_order_acquire);
  if (block == nullptr) return nullptr;
  Slot& slot = block[index % kBlock];
  if (!slot.live.load(std::memory_order_acquire) || slot.generation.load(std::memory_order_relaxed) != static_cast<uint32_t>(handle / kSlots))
    return nullptr;
  return &slot;
}

}  // namespace

Handle putTensor(at::Tensor tensor, uint16_t owner) {
  Table& t = table();
  std::lock_guard<std::mutex> lock(t.mutex);
  int64_t index;
  if (!t.freeSlots.empty()) {
    index = t.freeSlots.back();
    t.freeSlots.pop_back();
  } else {
    TORCH_CHECK_WITH(OutOfMemoryError, t.used < kSlots, "too many live tensors (", kSlots, "): free some, or wrap the loop's body in scope()");
    index = t.used++;
    if (index % kBlock == 0) t.blocks[index / kBlock].store(new Slot[kBlock], std::memory_order_release);
  }
  Slot& slot = t.at(index);
  slot.tensor = std::move(tensor);
  slot.owner = owner;
  slot.live.store(true, std::memory_order_release);
  t.live++;
  return static_cast<Handle>(slot.generation.load(std::memory_order_relaxed)) * kSlots + index;
}

at::Tensor getTensor(Handle handle) {
  Slot* slot = find(handle);
  if (slot == nullptr) throw ArgumentError("the tensor was freed");
  return slot->tensor;
}

bool dropTensor(Handle handle) {
  Table& t = table();
  at::Tensor dying;  // destroyed after the lock is released: its destructor may free other handles
  {
    std::lock_guard<std::mutex> lock(t.mutex);
    Slot* slot = find(handle);
    if (slot == nullptr) return false;
    slot->live.store(false, std::memory_order_release);
    dying = std::move(slot->tensor);
    uint32_t next = (slot->generation.load() + 1) & 0x7fffffff;
    slot->generation = next == 0 ? 1 : next;
    t.freeSlots.push_back(static_cast<int32_t>(handle % kSlots));
    t.live--;
  }
  return true;
}

void dropOwnedBy(uint16_t owner) {
  Table& t = table();
  std::vector<Handle> handles;
  {
    std::lock_guard<std::mutex> lock(t.mutex);
    for (int64_t i = 0; i < t.used; i++) {
      Slot& slot = t.at(i);
      if (slot.live && slot.owner == owner) handles.push_back(static_cast<Handle>(slot.generation.load()) * kSlots + i);
    }
  }
  for (Handle handle : handles) dropTensor(handle);
}

void setOwner(Handle handle, uint16_t owner) {
  Slot* slot = find(handle);
  if (slot == nullptr) throw ArgumentError("the tensor was freed");
  slot->owner = owner;
}

int64_t liveTensors(int owner) {
  Table& t = table();
  if (owner < 0) return t.live;
  std::lock_guard<std::mutex> lock(t.mutex);
  int64_t count = 0;
  for (int64_t i = 0; i < t.used; i++) count += t.at(i).live && t.at(i).owner == owner;
  return count;
}

}  // namespace tunesmith
