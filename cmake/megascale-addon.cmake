# What the native addons share: compiler options, Node-API headers, and sources found by name.
#
#   megascale_addon(<target>)          every native/**/*.cc becomes build/Release/<target>.node
#   megascale_native_tests(<target>)   a program of the same sources without native/binding, and native/tests/*.cc;
#                                      needs neither Node nor its headers
#
# Files named *_avx2.cc, *_avx512.cc, *_avx512bf16.cc, *_avx512vnni.cc, *_amx.cc and *_neon.cc hold kernels of one instruction set: they
# are compiled on its processors only (x86-64; 64-bit Arm for NEON), each with its own flags, and only where the compiler
# knows these flags. The macros MEGASCALE_HAS_AVX2, MEGASCALE_HAS_NEON and so on tell the other files which are in.
# MEGASCALE_ISA is avx2, avx512 … or, in all other files, baseline: headers put their inline functions into a namespace
# of that name, because the linker keeps one copy of each and must not keep one that an older processor cannot run.
#
# Options: MEGASCALE_TESTS asks for the tests in place of the addon, MEGASCALE_SANITIZE names what -fsanitize takes.

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
# Every 64-bit Arm processor has NEON, so there is nothing to ask for.
set(MEGASCALE_ISA_FLAGS_neon "")
set(MEGASCALE_ISA_FLAGS_avx512vnni ${MEGASCALE_ISA_FLAGS_avx512} -mavx512vnni)
set(MEGASCALE_ISA_FLAGS_amx ${MEGASCALE_ISA_FLAGS_avx512} -mamx-tile -mamx-bf16 -mamx-int8)

# Gives the files of one instruction set their flags, or takes them out of `sources`.
function(megascale_isa isa sources_name definitions_name)
  set(sources ${${sources_name}})
  set(isa_sources ${sources})
  list(FILTER isa_sources INCLUDE REGEX "_${isa}\\.cc$")
  string(TOUPPER ${isa} ISA)

  set(processors "^(x86_64|AMD64|amd64)$")
  if(isa STREQUAL "neon")
    set(processors "^(aarch64|arm64|ARM64)$")
  endif()
  set(supported FALSE)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "${processors}")
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

# All sources but those of tests, each with the flags of its instruction set, and the definitions they need.
function(megascale_sources sources_name definitions_name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/*.cc")
  list(FILTER sources EXCLUDE REGEX "/native/tests/")
  set(definitions MEGASCALE_ISA=baseline MEGASCALE_VERSION="${PROJECT_VERSION}")
  foreach(isa avx2 avx512 avx512bf16 avx512vnni amx neon)
    megascale_isa(${isa} sources definitions)
  endforeach()
  set(${sources_name} ${sources} PARENT_SCOPE)
  set(${definitions_name} ${definitions} PARENT_SCOPE)
endfunction()

# What is the same for every target.
function(megascale_target target)
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native")
  # FMA contraction is the compiler's choice unless forbidden, and would let two files differ in the last bit.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -ffp-contract=off)
  find_package(Threads REQUIRED)
  target_link_libraries(${target} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  if(UNIX AND NOT APPLE)
    target_link_libraries(${target} PRIVATE rt)
  endif()
endfunction()

function(megascale_addon target)
  megascale_sources(sources definitions)
  add_library(${target} SHARED ${sources} ${CMAKE_JS_SRC})
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".node")
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_JS_INC})
  target_compile_definitions(${target} PRIVATE NAPI_VERSION=8 NAPI_CPP_EXCEPTIONS ${definitions})
  megascale_target(${target})
  target_link_libraries(${target} PRIVATE ${CMAKE_JS_LIB})
  if(APPLE)
    target_link_options(${target} PRIVATE -undefined dynamic_lookup)
  elseif(UNIX)
    # Users' machines may carry an older libstdc++ than the builder's.
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL)
  endif()
endfunction()

function(megascale_native_tests target)
  megascale_sources(sources definitions)
  list(FILTER sources EXCLUDE REGEX "/native/binding/")
  file(GLOB tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/tests/*.cc")
  set(frame "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/tests")
  add_executable(${target} ${sources} ${tests} "${frame}/testing.cc")
  target_include_directories(${target} PRIVATE "${frame}")
  target_compile_definitions(${target} PRIVATE ${definitions})
  megascale_target(${target})
  if(MEGASCALE_SANITIZE)
    set(sanitize -fsanitize=${MEGASCALE_SANITIZE} -fno-sanitize-recover=all)
    # GCC sees uninitialized variables in what a sanitizer adds. Its assertions check every index of a vector.
    target_compile_options(${target} PRIVATE ${sanitize} -O1 -g1 -fno-omit-frame-pointer -Wno-uninitialized
                           -Wno-maybe-uninitialized)
    target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS)
    target_link_options(${target} PRIVATE ${sanitize})
  endif()
endfunction()
