/* The header needs nothing before it, and may come twice. Compiled as C and as C++, with every warning an error. */
#include "zarrs_c.h"
#include "zarrs_c.h"

int main(void) {
  zrc_runtime_options options;
  ZRC_INIT(&options);
  return options.struct_size == sizeof options && ZRC_OK == 0 ? 0 : 1;
}
