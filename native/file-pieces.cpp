// Makes the pieces of a file on several threads: gathers rows of any strides, converts, quantises and checks them.
#include "file-pieces.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace tunesmith {
namespace {

constexpr int64_t piece_bytes = int64_t{1} << 20;  // made at a time
constexpr int most_makers = 8;

bool is_plain(const at::Tensor& t) { return t.device().is_cpu() && !t.is_conj() && !t.is_neg(); }

int64_t width_of(const at::Tensor& t) { return t.dim() == 0 ? 1 : t.size(-1); }

// Where row `index` of the tensor begins, in elements.
int64_t row_offset(const at::Tensor& t, int64_t index) {
  int64_t offset = 0;
  for (int64_t dim = t.dim() - 2; dim >= 0; dim--) {
    offset += index % t.size(dim) * t.stride(dim);
    index /= t.size(dim);
  }
  return offset;
}

// Four columns of four neighbouring items each, as four rows.
template <typename Item> void transpose_four(const Item* from, int64_t stride, Item* out, int64_t width) {
  for (int c = 0; c < 4; c++)
    for (int r = 0; r < 4; r++) out[r * width + c] = from[c * stride + r];
}
#if !defined(__clang__)
// GCC's own shuffles, in place of what it would make of the loops.
void transpose_four(const uint32_t* from, int64_t stride, uint32_t* out, int64_t width) {
  typedef uint32_t Four __attribute__((vector_size(16)));
  Four columns[4], pairs[4];
  for (int c = 0; c < 4; c++) std::memcpy(columns + c, from + c * stride, sizeof(Four));
  for (int i = 0; i < 2; i++) {
    pairs[i] = __builtin_shuffle(columns[i], columns[i + 2], Four{0, 4, 1, 5});
    pairs[i + 2] = __builtin_shuffle(columns[i], columns[i + 2], Four{2, 6, 3, 7});
  }
  for (int i = 0; i < 2; i++) {
    const Four rows[2] = {__builtin_shuffle(pairs[2 * i], pairs[2 * i + 1], Four{0, 4, 1, 5}),
                          __builtin_shuffle(pairs[2 * i], pairs[2 * i + 1], Four{2, 6, 3, 7})};
    for (int r = 0; r < 2; r++) std::memcpy(out + (2 * i + r) * width, rows + r, sizeof(Four));
  }
}
#endif

template <typename Item> void gather_items(const at::Tensor& t, int64_t first, int64_t count, void* to) {
  const int64_t width = width_of(t), stride = t.dim() == 0 ? 1 : t.stride(-1);
  const Item* from = static_cast<const Item*>(t.const_data_ptr());
  Item* out = static_cast<Item*>(to);
  std::vector<int64_t> rows(count);
  for (int64_t row = 0; row < count; row++) rows[row] = row_offset(t, first + row);
  if (stride == 1) {
    for (int64_t row = 0; row < count; row++) std::memcpy(out + row * width, from + rows[row], width * sizeof(Item));
    return;
  }
  // In tiles: neighbouring rows of a transposed matrix are neighbours in memory. As many columns as a set of the first
  // cache holds lines, since a stride of whole pages brings all of them to one set.
  constexpr int64_t tile_rows = 16, tile_columns = 8;
  for (int64_t row = 0; row < count; row += tile_rows) {
    const int64_t end = std::min(count, row + tile_rows);
    bool neighbours = end - row == tile_rows;
    for (int64_t r = row + 1; r < end; r++) neighbours &= rows[r] == rows[row] + r - row;
    for (int64_t column = 0; column < width; column += tile_columns) {
      if (neighbours && column + tile_columns <= width) {
        for (int64_t r = row; r < end; r += 4)
          for (int64_t c = column; c < column + tile_columns; c += 4)
            transpose_four(from + rows[r] + c * stride, stride, out + r * width + c, width);
        continue;
      }
      for (int64_t c = column; c < std::min(width, column + tile_columns); c++)
        for (int64_t r = row; r < end; r++) out[r * width + c] = from[rows[r] + c * stride];
    }
  }
}

// Some rows of a tensor of any strides, one after another.
void gather(const at::Tensor& t, int64_t first, int64_t count, void* to) {
  struct Wide {
    uint64_t halves[2];
  };
  switch (t.element_size()) {
    case 1: return gather_items<uint8_t>(t, first, count, to);
    case 2: return gather_items<uint16_t>(t, first, count, to);
    case 4: return gather_items<uint32_t>(t, first, count, to);
    case 8: return gather_items<uint64_t>(t, first, count, to);
    default: return gather_items<Wide>(t, first, count, to);
  }
}

// Whether no element has all bits of the exponent, which NaN and infinity have.
template <typename Word> bool finite(const void* data, int64_t count, Word exponent) {
  typedef Word Words __attribute__((vector_size(16), aligned(1), may_alias));
  constexpr int64_t lanes = 16 / sizeof(Word);
  const Word* words = static_cast<const Word*>(data);
  Words found{};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    Words x;
    std::memcpy(&x, words + i, sizeof(x));
    found |= Words((x & exponent) == exponent);
  }
  bool any = false;
  for (int64_t lane = 0; lane < lanes; lane++) any |= found[lane] != 0;
  for (; i < count; i++) any |= (words[i] & exponent) == exponent;
  return !any;
}

bool finite(at::ScalarType type, const void* data, int64_t count) {
  switch (type) {
    case at::kFloat: return finite<uint32_t>(data, count, 0x7f800000u);
    case at::kBFloat16: return finite<uint16_t>(data, count, 0x7f80);
    case at::kHalf: return finite<uint16_t>(data, count, 0x7c00);
    default: return true;
  }
}

void widen(at::ScalarType type, const void* from, float* to, int64_t count) {
  if (type == at::kBFloat16) {
    kernels().convert(from, Type::bfloat16, to, Type::float32, count);
    return;
  }
  const c10::Half* halves = static_cast<const c10::Half*>(from);
  for (int64_t i = 0; i < count; i++) to[i] = static_cast<float>(halves[i]);
}

bool has_type(const FilePart& part, RowType type) { return part.format != nullptr && part.format->type == type; }

bool same_values(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && a.strides() == b.strides() && is_plain(a) &&
         is_plain(b) && a.const_data_ptr() == b.const_data_ptr();
}

}  // namespace

FilePieces::FilePieces(std::string header, std::vector<FilePart> parts, const uint8_t* cancel)
    : header_(std::move(header)),
      parts_(std::move(parts)),
      cancel_(cancel),
      copies_(parts_.size()),
      unread_(parts_.size()),
      scales_from_(parts_.size(), -1),
      kept_scales_(parts_.size()),
      without_scales_(parts_.size()) {
  bytes_ = header_.size();
  pieces_.push_back({-1, 0, static_cast<int64_t>(header_.size())});
  bool works = false;
  for (size_t i = 0; i < parts_.size(); i++) {
    const FilePart& part = parts_[i];
    copying_.push_back(std::make_unique<std::mutex>());
    const int64_t width = width_of(part.tensor), total = part.tensor.numel(), rows = total == 0 ? 0 : total / width;
    const bool in_place = part.format == nullptr && part.tensor.is_contiguous();
    const int64_t unit = in_place                 ? 1
                         : part.format == nullptr ? width * int64_t(part.tensor.element_size())
                                                  : part.format->row_bytes(width);
    const int64_t count = in_place ? int64_t(part.tensor.nbytes()) : rows;
    // A row of few bytes may be made of many elements.
    const int64_t cost = in_place ? 1 : std::max(unit, width * int64_t(part.tensor.element_size()) / 2);
    const int64_t step = std::max<int64_t>(1, piece_bytes / std::max<int64_t>(1, cost));
    for (int64_t first = 0; first < count; first += step) {
      pieces_.push_back({static_cast<int64_t>(i), first, std::min(step, count - first)});
      unread_[i]++;
    }
    bytes_ += static_cast<size_t>(unit * count);
    works |= !in_place || part.finite;
    if (!has_type(part, RowType::int4_scales)) continue;
    for (size_t j = 0; j < i && scales_from_[i] < 0; j++)
      if (has_type(parts_[j], RowType::int4) && same_values(parts_[j].tensor, part.tensor) &&
          (parts_[j].finite || !part.finite) && without_scales_[j] == 0) {
        scales_from_[i] = static_cast<int64_t>(j);
        without_scales_[j] = unread_[j];
      }
  }
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (works) makers_ = std::max(1, std::min(most_makers, cores));
}

void FilePieces::stop(std::exception_ptr error) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (error_ == nullptr) error_ = std::move(error);
  stopped_ = true;
  changed_.notify_all();
}

const FilePieces::Made& FilePieces::wait(size_t piece) {
  std::unique_lock<std::mutex> lock(mutex_);
  Made& made = made_[piece % window];
  changed_.wait(lock, [&] { return stopped_ || (piece < read_by_all_ + window && made.ready); });
  if (stopped_) throw Stopped();
  return made;
}

void FilePieces::release(size_t piece) {
  std::lock_guard<std::mutex> lock(mutex_);
  Made& made = made_[piece % window];
  if (++made.readers < readers_) return;
  made = Made();
  read_by_all_ = piece + 1;
  const int64_t part = pieces_[piece].part;
  if (part >= 0 && --unread_[part] == 0) {
    copies_[part].reset();
    if (scales_from_[part] >= 0) kept_scales_[scales_from_[part]].reset();
  }
  changed_.notify_all();
}

void FilePieces::make() {
  at::NoGradGuard noGrad;
  for (;;) {
    size_t piece;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (next_ == pieces_.size()) return;
      piece = next_++;
      changed_.wait(lock, [&] { return stopped_ || piece < read_by_all_ + window; });
      if (stopped_) throw Stopped();
    }
    if (*cancel_ != 0) throw Stopped();
    Made made = make_piece(pieces_[piece]);
    made.ready = true;
    std::lock_guard<std::mutex> lock(mutex_);
    made_[piece % window] = std::move(made);
    changed_.notify_all();
  }
}

const at::Tensor& FilePieces::in_memory(int64_t part) {
  const at::Tensor& tensor = parts_[part].tensor;
  if (is_plain(tensor)) return tensor;
  std::lock_guard<std::mutex> lock(*copying_[part]);
  if (!copies_[part].defined()) copies_[part] = tensor.cpu().resolve_conj().resolve_neg().contiguous();
  return copies_[part];
}

FilePieces::Made FilePieces::make_piece(const Piece& piece) {
  Made made;
  if (piece.part < 0) {
    made.data = header_.data();
    made.bytes = header_.size();
    return made;
  }
  const FilePart& part = parts_[piece.part];
  if (scales_from_[piece.part] >= 0) return kept_scales(piece);
  const at::Tensor& tensor = in_memory(piece.part);
  if (part.format != nullptr) return encode(piece, tensor);
  const int64_t item = static_cast<int64_t>(tensor.element_size());
  if (part.tensor.is_contiguous()) {
    made.data = static_cast<const char*>(tensor.const_data_ptr()) + piece.first;
    made.bytes = static_cast<size_t>(piece.count);
  } else {
    made.bytes = static_cast<size_t>(piece.count * width_of(tensor) * item);
    made.own.reset(new char[made.bytes]);
    gather(tensor, piece.first, piece.count, made.own.get());
    made.data = made.own.get();
  }
  if (part.finite && !finite(tensor.scalar_type(), made.data, static_cast<int64_t>(made.bytes) / item))
    throw NotFinite{piece.part};
  return made;
}

bool FilePieces::is_without_scales(int64_t part) {
  std::lock_guard<std::mutex> lock(mutex_);
  return without_scales_[part] > 0;
}

float* FilePieces::scales_of(int64_t part, int64_t row) {
  const at::Tensor& tensor = parts_[part].tensor;
  const int64_t width = width_of(tensor), count = row_format("int4-scales", "writeTensorFile").row_bytes(width) / 4;
  std::lock_guard<std::mutex> lock(mutex_);
  std::unique_ptr<float[]>& kept = kept_scales_[part];
  if (kept == nullptr) kept.reset(new float[static_cast<size_t>(tensor.numel() / width * count)]);
  return kept.get() + row * count;
}

FilePieces::Made FilePieces::kept_scales(const Piece& piece) {
  const int64_t from = scales_from_[piece.part];
  {
    // Pieces are begun in their order, so the others are being made.
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || without_scales_[from] == 0; });
    if (stopped_) throw Stopped();
  }
  const FilePart& part = parts_[piece.part];
  Made made;
  made.bytes = static_cast<size_t>(part.format->row_bytes(width_of(part.tensor)) * piece.count);
  made.data = reinterpret_cast<const char*>(scales_of(from, piece.first));
  return made;
}

FilePieces::Made FilePieces::encode(const Piece& piece, const at::Tensor& tensor) {
  const FilePart& part = parts_[piece.part];
  const RowFormat& format = *part.format;
  const int64_t width = width_of(tensor), row_bytes = format.row_bytes(width), count = piece.count * width;
  const at::ScalarType type = tensor.scalar_type();
  std::unique_ptr<char[]> gathered;
  const void* rows;
  if (tensor.is_contiguous()) {
    rows = static_cast<const char*>(tensor.const_data_ptr()) + piece.first * width * int64_t(tensor.element_size());
  } else {
    gathered.reset(new char[static_cast<size_t>(count) * tensor.element_size()]);
    gather(tensor, piece.first, piece.count, gathered.get());
    rows = gathered.get();
  }
  if (part.finite && !finite(type, rows, count)) throw NotFinite{piece.part};
  std::unique_ptr<float[]> wide;
  if (type != at::kFloat) {
    wide.reset(new float[static_cast<size_t>(count)]);
    widen(type, rows, wide.get(), count);
    rows = wide.get();
  }
  Made made;
  made.bytes = static_cast<size_t>(row_bytes * piece.count);
  made.own.reset(new char[made.bytes]);
  made.data = made.own.get();
  const float* columns = part.columns.defined() ? part.columns.const_data_ptr<float>() : nullptr;
  // Read once for the integers and for their scales.
  const bool keeps_scales = is_without_scales(piece.part);
  const int64_t blocks = row_bytes / format.bytes;
  float* scales = keeps_scales ? scales_of(piece.part, piece.first) : nullptr;
  std::vector<float> repeated(format.columns == RowFormat::row_scales ? static_cast<size_t>(width) : 0);
  // Whole blocks without numbers of their columns are those of one long row.
  const bool joined = format.whole_blocks && columns == nullptr && !keeps_scales;
  if (joined)
    kernels().encode_row(format.type, static_cast<const float*>(rows), count, nullptr,
                         reinterpret_cast<uint8_t*>(made.own.get()));
  for (int64_t row = 0; row < (joined ? 0 : piece.count); row++) {
    const float* own = columns;
    if (!repeated.empty()) {
      std::fill(repeated.begin(), repeated.end(), columns[part.columns.numel() == 1 ? 0 : piece.first + row]);
      own = repeated.data();
    }
    if (keeps_scales) {
      own = scales + row * blocks;
      kernels().encode_row(RowType::int4_scales, static_cast<const float*>(rows) + row * width, width, nullptr,
                           reinterpret_cast<uint8_t*>(scales + row * blocks));
    }
    kernels().encode_row(format.type, static_cast<const float*>(rows) + row * width, width, own,
                         reinterpret_cast<uint8_t*>(made.own.get()) + row * row_bytes);
  }
  if (keeps_scales) {
    std::lock_guard<std::mutex> lock(mutex_);
    without_scales_[piece.part]--;
    changed_.notify_all();
  }
  if (part.finite && format.type == RowType::float16 && !finite(at::kHalf, made.data, count))
    throw NotFinite{piece.part};
  return made;
}

}  // namespace tunesmith
