# Installs the headers, the module libraries, the shipped model and the CMake package.
include_guard()
include(CMakePackageConfigHelpers)

get_property(modules GLOBAL PROPERTY SHOAL_MODULES)
add_library(shoal INTERFACE)
add_library(shoal::shoal ALIAS shoal)
target_link_libraries(shoal INTERFACE ${modules})
target_compile_features(shoal INTERFACE cxx_std_20)

install(TARGETS shoal ${modules} EXPORT shoalTargets)
install(EXPORT shoalTargets NAMESPACE shoal:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/shoal)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/shoalConfig.cmake.in ${PROJECT_BINARY_DIR}/shoalConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/shoal)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/shoalConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/shoalConfig.cmake ${PROJECT_BINARY_DIR}/shoalConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/shoal)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/shoal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/jobs/minnow/model/ DESTINATION ${CMAKE_INSTALL_DATADIR}/shoal/minnow)
