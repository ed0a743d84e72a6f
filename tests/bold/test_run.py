"""What runs are called."""

import pytest

from tribetune.bold.run import is_named


@pytest.mark.parametrize(
    ("label", "name", "same"),
    [
        ("sub-01_task-movie_run-2", 2, True),
        ("sub-01_task-movie_run-02", "2", True),
        ("sub-01_task-movie_run-2", "movie", False),
        ("sub-01_ses-001_task-s01e02a", "s01e02a", True),
        ("sub-01_ses-001_task-s01e02a", "task-s01e02a", True),
        ("sub-01_ses-001_task-s01e02a", "ses-002_task-s01e02a", False),
        ("sub-01_ses-1_task-movie_run-2", "run-2", True),
        ("sub-01_task-movie_run-2", "sub-01_task-movie_run-2", True),
        ("sub-01_task-movie_run-2", "sub-02_task-movie_run-2", False),
        ("sub-01", "1", False),
        ("sub-a-b_c", "sub-a-b_c", True),
    ],
)
def test_a_run_is_called_by_its_number_its_task_its_label_or_a_part_of_it(label, name, same):
    assert is_named(label, name) is same
