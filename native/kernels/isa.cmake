# The fused CPU operators. Sets KERNEL_SOURCES; the including file adds them to the addon target.
# isa/kernels.cpp holds all vector code but that of isa/quantize-blocks.cpp, whose roundings must be those of ggml. Both are
# compiled once for each instruction set; table.cpp chooses at run time. isa/byte-products.cpp is the part that is compiled
# again where a processor has dot products of bytes as well.
# ISA files must see no std:: template, or the linker could keep its wide-vector copy for the whole addon.
set(KERNEL_DIRECTORY ${CMAKE_CURRENT_LIST_DIR})
file(GLOB KERNEL_SOURCES CONFIGURE_DEPENDS ${KERNEL_DIRECTORY}/*.cpp)
file(GLOB KERNEL_HEADERS CONFIGURE_DEPENDS ${KERNEL_DIRECTORY}/isa/*.h ${KERNEL_DIRECTORY}/table.h)

function(tunesmith_add_isa_source name source fusing)
  set(copy ${CMAKE_CURRENT_BINARY_DIR}/kernels-${source}-${name}.cpp)
  file(CONFIGURE OUTPUT ${copy} CONTENT "#include \"${KERNEL_DIRECTORY}/isa/${source}.cpp\"\n" @ONLY)
  set_source_files_properties(${copy} PROPERTIES
    COMPILE_OPTIONS "-O3;-fno-math-errno;-fno-trapping-math;-ffp-contract=${fusing};-Wno-psabi;-DTUNESMITH_ISA=${name};${ARGN}"
    OBJECT_DEPENDS "${KERNEL_DIRECTORY}/isa/${source}.cpp;${KERNEL_HEADERS}")
  set(KERNEL_SOURCES ${KERNEL_SOURCES} ${copy} PARENT_SCOPE)
endfunction()

function(tunesmith_add_isa name)
  tunesmith_add_isa_source(${name} kernels fast ${ARGN})
  tunesmith_add_isa_source(${name} quantize-blocks off ${ARGN})
  set(KERNEL_SOURCES ${KERNEL_SOURCES} PARENT_SCOPE)
endfunction()

tunesmith_add_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(KERNEL_AVX512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512)
  tunesmith_add_isa(avx2 -mavx2 -mfma -mf16c)
  tunesmith_add_isa(avx512 ${KERNEL_AVX512})
  tunesmith_add_isa_source(avx512vnni byte-products fast ${KERNEL_AVX512} -mavx512vnni -DTUNESMITH_BASE=avx512)
  # GCC 11 is the first that knows it.
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mavxvnni HAS_AVX2_VNNI)
  if(HAS_AVX2_VNNI)
    tunesmith_add_isa_source(avx2vnni byte-products fast -mavx2 -mfma -mf16c -mavxvnni -DTUNESMITH_BASE=avx2)
    set_property(SOURCE ${KERNEL_DIRECTORY}/table.cpp APPEND PROPERTY COMPILE_DEFINITIONS TUNESMITH_AVX2_VNNI)
  endif()
  # Every processor with bf16 dot products has those of int8 too.
  tunesmith_add_isa(avx512bf16 ${KERNEL_AVX512} -mavx512vnni -mavx512bf16)
  # The 16-lane logic of avx512 on a machine without it, in AVX2 code. For tests only, so the third of the time to compile counts for more
  # than its speed.
  tunesmith_add_isa(emulated -O1 -mavx2 -mfma -mf16c -DTUNESMITH_EMULATE_AVX512BF16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  tunesmith_add_isa(dotprod -march=armv8.2-a+dotprod)
  # Every processor with matrix products of int8 has dot products of them too.
  tunesmith_add_isa(i8mm -march=armv8.2-a+dotprod+i8mm)
endif()
