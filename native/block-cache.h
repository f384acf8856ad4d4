// The address space of large blocks of memory, which of their freed pages are kept for reuse, and the counts of memory:
// shared by the CPU allocator and by plans, whose addresses have no memory, so that both have the same peaks.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace tunesmith {

// Where a cache gets addresses from, and memory behind them.
class AddressSpace {
 public:
  virtual ~AddressSpace() = default;
  // Addresses without memory, at least `bytes` of them; their number may be raised. 0: there are none.
  virtual uintptr_t reserve(size_t& bytes) = 0;
  // Gives addresses memory. False: the system has no more.
  virtual bool commit(uintptr_t address, size_t bytes) = 0;
  // Returns the memory of addresses, which stay reserved.
  virtual void release(uintptr_t address, size_t bytes) = 0;
};

// Blocks are carved out of extents of free pages, the smallest that fits, and merge with their free neighbours when
// they are freed: a block of any size finds pages of former blocks of other sizes, as rows of many lengths need it.
class BlockCache {
 public:
  static constexpr size_t large_bytes = size_t{64} << 10;  // blocks from this size on are cached
  static constexpr size_t header_bytes = 64;               // before the data of a block
  // Extents grow and shrink by huge pages, so that none is split.
  static constexpr size_t huge_page_bytes = size_t{2} << 20;

  explicit BlockCache(AddressSpace& space) : space_(&space) {}

  size_t in_use = 0, cached = 0, peak = 0;

  static size_t page_bytes() {
    static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
  }

  static bool is_large(size_t bytes) { return bytes >= large_bytes; }

  // What a block takes: a large one has whole pages, with its header.
  static size_t block_size(size_t bytes) {
    return is_large(bytes) ? round_up(bytes + header_bytes, page_bytes()) : bytes;
  }

  void count(size_t size) {
    in_use += size;
    if (in_use > peak) peak = in_use;
  }

  // A small block goes back to the system: the caller frees it.
  void uncount(size_t size) { in_use -= size; }

  // Whether freed pages suffice for a large block.
  bool fits(size_t size) const { return by_size_.lower_bound({size, 0}) != by_size_.end(); }

  // The address of a large block, which is counted as in use. 0: the system has no more memory.
  uintptr_t take(size_t size) {
    if (!fits(size) && !grow(size)) return 0;
    const auto [extent, address] = *by_size_.lower_bound({size, 0});
    remove(address, extent);
    if (extent > size) insert(address + size, extent - size);
    count(size);
    return address;
  }

  // Keeps the pages of a large block for others.
  void give(uintptr_t address, size_t size) {
    in_use -= size;
    keep(address, size);
  }

  // Returns memory to the system, that of the largest extents first, until at most `target` bytes are cached: in whole
  // huge pages, which leaves the ends of extents cached, or to the page.
  void drop(size_t target, size_t unit = page_bytes()) {
    auto next = by_size_.end();
    while (cached > target && next != by_size_.begin()) {
      const auto [size, address] = *--next;
      if (size < unit) return;
      const uintptr_t end = (address + size) / unit * unit;
      const size_t wanted = round_up(std::min(size, cached - target), unit);
      const uintptr_t first = std::max(round_up(address, unit), end > wanted ? end - wanted : 0);
      if (first >= end) continue;
      remove(address, size);
      space_->release(first, end - first);
      if (first > address) insert(address, first - address);
      if (address + size > end) insert(end, address + size - end);
      join(vacant_, first, end - first);
      next = by_size_.end();
    }
  }

 private:
  using Extents = std::map<uintptr_t, size_t>;  // sizes by address

  AddressSpace* space_;
  Extents free_, vacant_;                           // with memory that nobody uses, and without memory
  std::set<std::pair<size_t, uintptr_t>> by_size_;  // those with memory

  static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

  void insert(uintptr_t address, size_t size) {
    free_.emplace(address, size);
    by_size_.emplace(size, address);
    cached += size;
  }

  void remove(uintptr_t address, size_t size) {
    free_.erase(address);
    by_size_.erase({size, address});
    cached -= size;
  }

  // Adds free pages, joined with those beside them.
  void keep(uintptr_t address, size_t size) {
    const auto after = free_.find(address + size);
    if (after != free_.end()) {
      const size_t more = after->second;
      remove(address + size, more);
      size += more;
    }
    const auto [before, bytes] = extent_before(address);
    if (bytes > 0) {
      remove(before, bytes);
      address = before;
      size += bytes;
    }
    insert(address, size);
  }

  // The free pages that end at an address.
  std::pair<uintptr_t, size_t> extent_before(uintptr_t address) const {
    auto found = free_.lower_bound(address);
    if (found == free_.begin()) return {address, 0};
    --found;
    if (found->first + found->second != address) return {address, 0};
    return *found;
  }

  static void join(Extents& extents, uintptr_t address, size_t size) {
    const auto after = extents.find(address + size);
    if (after != extents.end()) {
      size += after->second;
      extents.erase(after);
    }
    const auto next = extents.lower_bound(address);
    if (next != extents.begin() && std::prev(next)->first + std::prev(next)->second == address)
      std::prev(next)->second += size;
    else
      extents.emplace(address, size);
  }

  // Memory in use and cache together stay below the peak of the memory in use and a quarter more, or 8 MiB, so that
  // extents too small for what is wanted do not accumulate.
  void make_room(size_t size) {
    const size_t most = std::max(peak, in_use + size);
    const size_t limit = most + std::max(most / 4, size_t{8} << 20);
    const size_t target = limit - in_use - size;
    if (cached <= target) return;
    drop(target, huge_page_bytes);
    // What is left has no whole huge page.
    drop(target);
  }

  // Gives memory to addresses behind the free pages that are followed by enough of them, the largest such extent.
  bool grow(size_t size) {
    make_room(size);
    Extents::iterator found = vacant_.end();
    size_t most = 0;
    for (auto one = vacant_.begin(); one != vacant_.end(); ++one) {
      const size_t before = extent_before(one->first).second;
      if (before + one->second < size || (found != vacant_.end() && before <= most)) continue;
      found = one;
      most = before;
    }
    if (found == vacant_.end()) {
      size_t reserved = size;
      const uintptr_t address = space_->reserve(reserved);
      if (address == 0) return false;
      join(vacant_, address, reserved);
      found = std::prev(vacant_.upper_bound(address));
      most = extent_before(found->first).second;
    }
    const auto [address, vacant] = *found;
    const size_t bytes =
        std::min(round_up(address + (size - std::min(size - 1, most)), huge_page_bytes) - address, vacant);
    if (!space_->commit(address, bytes)) return false;
    vacant_.erase(found);
    if (vacant > bytes) vacant_.emplace(address + bytes, vacant - bytes);
    keep(address, bytes);
    return true;
  }
};

}  // namespace tunesmith
