"""What a user of W&B has written, word for word but for the import: a sweep, its training function, its file."""

CONFIGURATION = """
import sweepyard as wandb

# Sweep configuration
sweep_config = {
    "name": "hyperparam-sweep",
    "method": "bayes",  # random, grid, bayes
    "metric": {
        "name": "val_accuracy",
        "goal": "maximize"
    },
    "parameters": {
        "learning_rate": {
            "distribution": "log_uniform_values",
            "min": 1e-5,
            "max": 1e-1
        },
        "batch_size": {
            "values": [16, 32, 64, 128]
        },
        "epochs": {
            "value": 50  # Fixed value
        },
        "optimizer": {
            "values": ["adam", "sgd", "rmsprop"]
        },
        "hidden_dim": {
            "distribution": "int_uniform",
            "min": 32,
            "max": 256
        },
        "dropout": {
            "distribution": "uniform",
            "min": 0.0,
            "max": 0.5
        }
    },
    "early_terminate": {
        "type": "hyperband",
        "min_iter": 5,
        "eta": 3
    }
}

# Create sweep
sweep_id = wandb.sweep(sweep_config, project="my-project")
print(f"Sweep ID: {sweep_id}")
"""

TRAINING = '''
import sweepyard as wandb
import torch

def train_sweep():
    """Training function to run in sweep"""
    # Initialize W&B (sweep provides config)
    wandb.init()
    config = wandb.config

    # Create model
    model = create_model(
        hidden_dim=config.hidden_dim,
        dropout=config.dropout
    )

    # Setup optimizer
    if config.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    elif config.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate)
    else:
        optimizer = torch.optim.RMSprop(model.parameters(), lr=config.learning_rate)

    # Data loaders
    train_loader = DataLoader(train_dataset, batch_size=config.batch_size)
    val_loader = DataLoader(val_dataset, batch_size=config.batch_size)

    # Training
    for epoch in range(config.epochs):
        train_loss = train_one_epoch(model, train_loader, optimizer)
        val_accuracy = evaluate(model, val_loader)

        wandb.log({
            "train_loss": train_loss,
            "val_accuracy": val_accuracy,
            "epoch": epoch
        })

    wandb.finish()
'''

AGENT = """
# Run sweep
wandb.agent(
    sweep_id,
    function=train_sweep,
    count=50  # Maximum number of runs
)
"""

FILE = """
# sweep.yaml
name: hyperparameter-sweep
method: bayes
metric:
  name: val_accuracy
  goal: maximize
parameters:
  learning_rate:
    distribution: log_uniform_values
    min: 0.00001
    max: 0.1
  batch_size:
    values: [16, 32, 64]
  hidden_dim:
    distribution: int_uniform
    min: 64
    max: 512
"""

TORCH = '''
"""As much of PyTorch as the training function names: optimizers of a model with one weight for each class."""
import types

class Optimizer:
    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr

optim = types.SimpleNamespace(
    Adam=type("Adam", (Optimizer,), {"power": 0.5}),
    SGD=type("SGD", (Optimizer,), {"power": 1.0}),
    RMSprop=type("RMSprop", (Optimizer,), {"power": 0.7}),
)
'''

GIVEN = '''
"""The model and the data that the training function takes for granted."""
import random

class Model:
    def __init__(self, hidden_dim, dropout):
        self.weight, self.size, self.dropout = [0.0], hidden_dim, dropout
    def parameters(self):
        return self.weight

class DataLoader:
    def __init__(self, dataset, batch_size):
        self.dataset, self.batch_size = dataset, batch_size
    def __iter__(self):
        return (self.dataset[i:i + self.batch_size] for i in range(0, len(self.dataset), self.batch_size))

dice = random.Random(0)
points = [(x, int(x + dice.gauss(0, 0.1) > 0.6)) for x in (dice.random() for _ in range(300))]
train_dataset, val_dataset = points[:200], points[200:]

def create_model(hidden_dim, dropout):
    return Model(hidden_dim, dropout)

def train_one_epoch(model, loader, optimizer):
    loss = 0.0
    for batch in loader:
        wrong = sum(y - (x > 0.5 - model.weight[0]) for x, y in batch) / len(batch)
        model.weight[0] += optimizer.lr ** optimizer.power * wrong * (1 - model.dropout)
        loss += abs(wrong)
    return loss

def evaluate(model, loader):
    right = [(x > 0.5 - model.weight[0]) == y for batch in loader for x, y in batch]
    return sum(right) / len(right)
'''
