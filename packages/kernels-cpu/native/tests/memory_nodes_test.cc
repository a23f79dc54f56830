#include "runtime/memory_nodes.hpp"

#include "testing.hpp"

namespace megascale::testing {
namespace {

const Test lists{"lists of memory nodes are read as the system writes them", [](Random&) {
                   Require(ParseNodes("") == 0, "an empty list has nodes");
                   Require(ParseNodes("0") == 1, "0 is node 0");
                   Require(ParseNodes("0-3\n") == 0xf, "0-3 are four nodes");
                   Require(ParseNodes("1,4-5,63") == ((1ul << 63) | 0x32), "1,4-5,63");
                   Require(ParseNodes("0,64-70,x,2-") == 5, "what cannot be read is left out");
                 }};

}  // namespace
}  // namespace megascale::testing
