"""Deployment and audit: small devices, fairness."""
