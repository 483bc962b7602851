"""What 000_deep_learning_bash.py calls: notes how it was called."""

import json
import os
import sys

with open("/tmp/train_neural_net.json", "w") as file:
    json.dump({"arguments": sys.argv[1:], "folder": os.getcwd()}, file)
