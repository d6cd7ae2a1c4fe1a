"""The SIEM: collectors that pull from EDR servers, the core that stores and searches."""
