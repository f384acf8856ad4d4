// Which freed blocks of memory are kept for reuse, and the counts of memory: shared by the CPU allocator and by plans,
// which count blocks without memory, so that both have the same peak.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace tunesmith {

class BlockCache {
 public:
  static constexpr size_t large_bytes = size_t{1} << 20;  // blocks from this size on are cached

  size_t in_use = 0, cached = 0, peak = 0;

  // Sizes of large blocks are rounded up to eighths of a power of two, so that similar sizes share blocks.
  static size_t block_size(size_t bytes) {
    if (bytes < large_bytes) return bytes;
    const size_t power = size_t{1} << (63 - __builtin_clzll(bytes));
    const size_t step = power / 8;
    return (bytes + step - 1) / step * step;
  }

  struct Block {
    size_t size;
    void* base;  // nullptr: none was found
  };
  // The smallest cached block that fits, unless it would waste more than a quarter. It is counted as in use.
  Block reuse(size_t size) {
    if (size < large_bytes) return {0, nullptr};
    const auto found = free_.lower_bound(size);
    if (found == free_.end() || found->first > size + size / 4) return {0, nullptr};
    const Block block{found->first, found->second};
    cached -= block.size;
    free_.erase(found);
    count(block.size);
    return block;
  }

  void count(size_t size) {
    in_use += size;
    if (in_use > peak) peak = in_use;
  }

  // A small block goes back to the system: the caller frees it.
  void uncount(size_t size) { in_use -= size; }

  // Memory in use and cache together stay near the peak of the memory in use, so that blocks of former sizes do not
  // accumulate.
  template <class Free> void release(Block block, const Free& free_block) {
    in_use -= block.size;
    free_.emplace(block.size, block.base);
    cached += block.size;
    const size_t room = peak > in_use ? peak - in_use : 0;
    if (cached > room + room / 8 + (size_t{64} << 20)) drop(room, free_block);
  }

  // Frees cached blocks, largest first, until at most `target` bytes are cached.
  template <class Free> void drop(size_t target, const Free& free_block) {
    while (cached > target && !free_.empty()) {
      const auto last = std::prev(free_.end());
      cached -= last->first;
      free_block(last->second);
      free_.erase(last);
    }
  }

 private:
  std::multimap<size_t, void*> free_;  // by size
};

}  // namespace tunesmith
