import torch

# Tests run beside each other; threads that wait for each other make tiny networks slow.
torch.set_num_threads(1)
