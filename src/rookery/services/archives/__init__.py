"""Archives: everything of a person in one file, and who is who when it is read back.

Owns: the archives that people asked for, until they are out of date; the network's own name; which accounts came from which archive.
Emits and reacts to: nothing.
"""
