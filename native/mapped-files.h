// Files mapped into memory, and the detection of files that were truncated while they are mapped.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace tunesmith {

// A mapped file lost its end. Becomes a JavaScript error with code FILE.
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A whole file, mapped copy-on-write: writes to the memory do not change the file.
class MappedFile {
 public:
  // Throws std::runtime_error where the file cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
  void* region_ = nullptr;
};

// Number of reads beyond the end of truncated files so far, in this process. A read returns zeros, so the reader must
// compare the number before and after, and call `throw_truncated` where it differs.
uint64_t truncated_reads();

// Throws a FileError that names the truncated files. The next read of the missing part is noticed again.
[[noreturn]] void throw_truncated();

// Takes the pages of a mapped file that lie wholly in a range out of this process's memory; a later read brings them
// back. For a range of which there is a copy that is read instead. Pages that were written to stay. Does nothing
// elsewhere.
void give_back_pages(const void* data, size_t bytes);

}  // namespace tunesmith
