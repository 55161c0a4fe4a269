"""Tests of `make results`: the table shows the last epoch, and the highest one beside it."""

import results

HISTORY = """\
epoch,train_loss,train_accuracy,val_loss,val_accuracy,test_loss,test_accuracy,seconds
1,0.5,0.8,,,0.4,0.9712,1.5
2,0.3,0.9,,,0.5,0.9702,2.5
"""


def test_a_row_is_made_from_the_histories_of_its_runs(tmp_path):
    file = tmp_path / "mlp_history.csv"
    file.write_text(HISTORY)
    epochs = results.history(file)
    row = results.row("mlp", [(42, epochs), (43, epochs)])
    seeds = "42: 97.02 (97.12 in 1), 43: 97.02 (97.12 in 1)"
    assert row == f"| mlp | 2 | 97.02 ± 0.00 % | {seeds} | 4 |"
    assert "± " not in results.row("mlp", [(42, epochs)])
