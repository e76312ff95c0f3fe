// Internal contracts: checked in debug builds, gone in release builds. User input is validated with Error instead.
#pragma once

#include <cassert>

#define SHOAL_EXPECT(condition) assert(condition)
#define SHOAL_ENSURE(condition) assert(condition)
