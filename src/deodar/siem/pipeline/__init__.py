"""What happens to normalized events before they leave: filter, enrich, aggregate, in this order."""
