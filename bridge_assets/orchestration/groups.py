"""The groups of the graph. The UI lists groups by name: the number puts them in reading order."""

INVENTORY = "1_inventory"
WAREHOUSE = "2_warehouse"
FEATURES = "3_features"
MODEL = "4_model"
ENDPOINTS = "5_endpoints"
SCORING = "6_scoring"
REPORTING = "7_reporting"
OPERATIONS = "8_operations"

ALL_GROUPS = (INVENTORY, WAREHOUSE, FEATURES, MODEL, ENDPOINTS, SCORING, REPORTING, OPERATIONS)
