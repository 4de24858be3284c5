"""Online inference: estimator, experts, calibration, forecasts."""
