"""Electrodermal activity: SCL, SCRs, deconvolution."""
