//! enroute-mqtt
