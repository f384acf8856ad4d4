// Operators that an accelerator lacks and that libtorch computes on the CPU in its place, counted by name.
#pragma once
#include <string>

namespace tunesmith {

// Counts the call that a warning of libtorch is about; false for a warning about anything else.
bool note_fallback(const std::string& warning);

// Makes libtorch warn of each such call, which it does of the first one only.
void count_fallbacks();

}  // namespace tunesmith
