"""A client of Skep's socket. The standard library is all it needs.

    from skep import Client

    with Client() as hive:
        hive.write("/data/hello.md", "hello", origin="argument")
        print(hive.read("/data/hello.md")["text"])

Methods and types of answers are made from Skep's own tables (`calls`); how lines go over the socket is in
`client`. What Skep refuses is raised as `Refused`, with its code and its hint.
"""

from .calls import Calls
from .client import Client, Note, Refused, default_socket

__all__ = ["Calls", "Client", "Note", "Refused", "default_socket"]
