// report.css and report.js, embedded when Shoal is built. Internal to src/trace.
#pragma once

#include <string_view>

namespace shoal::trace {

std::string_view report_css();
std::string_view report_js();

}  // namespace shoal::trace
