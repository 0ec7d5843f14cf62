"""The resources that people write and read: spec, status, commands, reasons, and the CRDs made from them."""
