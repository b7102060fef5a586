"""Print the version of every installed package as one JSON object."""
import importlib.metadata
import json
import platform

versions = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
versions["python"] = platform.python_version()
try:
    import MySQLdb
except ImportError:
    pass
else:
    versions["mysql client library"] = MySQLdb.get_client_info()
print(json.dumps(versions, sort_keys=True))
