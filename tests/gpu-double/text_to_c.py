#!/usr/bin/env python3
"""text_to_c: a text as a C string, for a program that carries it.

usage: text_to_c.py TEXT HEADER NAME OUTPUT: OUTPUT defines `const char NAME[]`, as HEADER declares.
"""
import json
import sys


def main(text_path, header, name, output_path):
    with open(text_path, encoding="ascii") as text:
        lines = text.read().splitlines()
    with open(output_path, "w", encoding="ascii") as output:
        output.write(f'#include "{header}"\n\nconst char {name}[] =\n')
        output.writelines(f"    {json.dumps(line + chr(10))}\n" for line in lines)
        output.write("    ;\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
