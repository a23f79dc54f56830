# What the native addons share: compiler options, Node-API headers, and sources found by name.
#
#   megascale_addon(<target>)   every native/**/*.cc becomes build/Release/<target>.node
#
# Files named *_avx2.cc, *_avx512.cc, *_avx512bf16.cc and *_amx.cc hold kernels of one instruction set: they are compiled on
# x86-64 only, each with its own flags, and only where the compiler knows these flags. The macros
# MEGASCALE_HAS_AVX2, MEGASCALE_HAS_AVX512 and so on tell the other files which are in. MEGASCALE_ISA is
# avx2, avx512 … or, in all other files, baseline: headers put their inline functions into a namespace of that name,
# because the linker keeps one copy of each and must not keep one that an older processor cannot run.
# Files named *_test.cc are left out.

include(CheckCXXCompilerFlag)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

set(MEGASCALE_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(MEGASCALE_ISA_FLAGS_avx512 ${MEGASCALE_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq)
set(MEGASCALE_ISA_FLAGS_avx512bf16 ${MEGASCALE_ISA_FLAGS_avx512} -mavx512bf16)
set(MEGASCALE_ISA_FLAGS_amx ${MEGASCALE_ISA_FLAGS_avx512} -mamx-tile -mamx-bf16 -mamx-int8)

# Gives the files of one instruction set their flags, or takes them out of `sources`.
function(megascale_isa isa sources_name definitions_name)
  set(sources ${${sources_name}})
  set(isa_sources ${sources})
  list(FILTER isa_sources INCLUDE REGEX "_${isa}\\.cc$")
  string(TOUPPER ${isa} ISA)

  set(supported FALSE)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    string(REPLACE ";" " " flags "${MEGASCALE_ISA_FLAGS_${isa}}")
    check_cxx_compiler_flag("${flags}" MEGASCALE_COMPILES_${ISA})
    set(supported ${MEGASCALE_COMPILES_${ISA}})
  endif()

  if(supported)
    set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS
                                "${MEGASCALE_ISA_FLAGS_${isa}};-UMEGASCALE_ISA;-DMEGASCALE_ISA=${isa}")
    list(APPEND ${definitions_name} MEGASCALE_HAS_${ISA}=1)
  else()
    message(STATUS "megascale: ${isa} kernels are left out on ${CMAKE_SYSTEM_PROCESSOR}")
    list(REMOVE_ITEM sources ${isa_sources})
  endif()
  set(${sources_name} ${sources} PARENT_SCOPE)
  set(${definitions_name} ${${definitions_name}} PARENT_SCOPE)
endfunction()

function(megascale_addon target)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/*.cc")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  set(definitions NAPI_VERSION=8 NAPI_CPP_EXCEPTIONS MEGASCALE_ISA=baseline MEGASCALE_VERSION="${PROJECT_VERSION}")
  megascale_isa(avx2 sources definitions)
  megascale_isa(avx512 sources definitions)
  megascale_isa(avx512bf16 sources definitions)
  megascale_isa(amx sources definitions)

  add_library(${target} SHARED ${sources} ${CMAKE_JS_SRC})
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".node")
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native")
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_JS_INC})
  target_compile_definitions(${target} PRIVATE ${definitions})
  # FMA contraction is the compiler's choice unless forbidden, and would let two files differ in the last bit.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -ffp-contract=off)
  find_package(Threads REQUIRED)
  target_link_libraries(${target} PRIVATE Threads::Threads ${CMAKE_DL_LIBS} ${CMAKE_JS_LIB})
  if(APPLE)
    target_link_options(${target} PRIVATE -undefined dynamic_lookup)
  elseif(UNIX)
    target_link_libraries(${target} PRIVATE rt)
    # Users' machines may carry an older libstdc++ than the builder's.
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL)
  endif()
endfunction()
