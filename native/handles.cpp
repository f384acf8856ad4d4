// The process-wide table of live tensors. A handle contains the generation of its slot, so the use of a freed handle is
// always detected, even when its slot is in use again. Reads take no lock, since slots are in blocks that never move.
#include "binding.h"

#include <atomic>
#include <memory>

namespace tunesmith {
namespace {

constexpr int64_t slot_count = int64_t{1} << 22;
constexpr int64_t block_slots = 4096;

struct Slot {
  at::Tensor tensor;
  std::atomic<uint32_t> generation{1};
  std::atomic<uint32_t> owner{0};
  std::atomic<bool> live{false};
};

struct Table {
  std::mutex mutex;
  std::atomic<Slot*> blocks[slot_count / block_slots] = {};
  std::vector<int32_t> free_slots;
  int64_t used = 0;
  std::atomic<int64_t> live{0};

  Slot& at(int64_t index) { return blocks[index / block_slots].load(std::memory_order_acquire)[index % block_slots]; }
};

Table& table() {
  static Table* instance = new Table;  // never destroyed: finalizers may run at process exit
  return *instance;
}

Slot* find(Handle handle) {
  if (handle <= 0) return nullptr;
  const int64_t index = handle % slot_count;
  Slot* block = table().blocks[index / block_slots].load(std::memory_order_acquire);
  if (block == nullptr) return nullptr;
  Slot& slot = block[index % block_slots];
  if (!slot.live.load(std::memory_order_acquire) ||
      slot.generation.load(std::memory_order_relaxed) != static_cast<uint32_t>(handle / slot_count))
    return nullptr;
  return &slot;
}

}  // namespace

Handle put_tensor(at::Tensor tensor, uint32_t owner) {
  Table& t = table();
  std::lock_guard<std::mutex> lock(t.mutex);
  int64_t index;
  if (!t.free_slots.empty()) {
    index = t.free_slots.back();
    t.free_slots.pop_back();
  } else {
    TORCH_CHECK_WITH(OutOfMemoryError, t.used < slot_count, "too many live tensors (", slot_count,
                     "): free some, or wrap the loop's body in scope()");
    index = t.used++;
    if (index % block_slots == 0) t.blocks[index / block_slots].store(new Slot[block_slots], std::memory_order_release);
  }
  Slot& slot = t.at(index);
  slot.tensor = std::move(tensor);
  slot.owner = owner;
  slot.live.store(true, std::memory_order_release);
  t.live++;
  return static_cast<Handle>(slot.generation.load(std::memory_order_relaxed)) * slot_count + index;
}

at::Tensor get_tensor(Handle handle) {
  Slot* slot = find(handle);
  if (slot == nullptr) throw ArgumentError("the tensor was freed");
  return slot->tensor;
}

bool drop_tensor(Handle handle) {
  Table& t = table();
  at::Tensor freed;  // destroyed after the lock is released: its destructor may free other handles
  {
    std::lock_guard<std::mutex> lock(t.mutex);
    Slot* slot = find(handle);
    if (slot == nullptr) return false;
    slot->live.store(false, std::memory_order_release);
    freed = std::move(slot->tensor);
    uint32_t next = (slot->generation.load() + 1) & 0x7fffffff;
    slot->generation = next == 0 ? 1 : next;
    t.free_slots.push_back(static_cast<int32_t>(handle % slot_count));
    t.live--;
  }
  return true;
}

void drop_owned_by(uint32_t owner) {
  Table& t = table();
  std::vector<Handle> handles;
  {
    std::lock_guard<std::mutex> lock(t.mutex);
    for (int64_t i = 0; i < t.used; i++) {
      Slot& slot = t.at(i);
      if (slot.live && slot.owner == owner)
        handles.push_back(static_cast<Handle>(slot.generation.load()) * slot_count + i);
    }
  }
  for (Handle handle : handles) drop_tensor(handle);
}

void set_owner(Handle handle, uint32_t owner) {
  Slot* slot = find(handle);
  if (slot == nullptr) throw ArgumentError("the tensor was freed");
  slot->owner = owner;
}

int64_t live_tensors(int owner) {
  Table& t = table();
  if (owner < 0) return t.live;
  std::lock_guard<std::mutex> lock(t.mutex);
  int64_t count = 0;
  for (int64_t i = 0; i < t.used; i++) count += t.at(i).live && t.at(i).owner == owner;
  return count;
}

}  // namespace tunesmith
