"""The choice between two metrics, on made-up results."""

import pandas as pd

from dcmq.reporting.metric_question import metric_paragraph, metric_table, published_lead


def frame():
    rows = []
    for name, hits, over_all in (("DCMQ", 0.6, 0.5), ("DCMH", 0.55, 0.4), ("PQ", 0.3, 0.28)):
        for seed in (0, 1):
            for metric, value in (("mAP@R (hits)", hits), ("mAP@all", over_all)):
                for direction in ("i2t", "t2i"):
                    rows.append(
                        dict(
                            variant=name,
                            seed=seed,
                            bits=64,
                            direction=direction,
                            gallery="gallery",
                            metric=metric,
                            value=value + 0.01 * seed,
                        )
                    )
    return pd.DataFrame(rows)


def test_the_metric_table_is_a_difference_on_the_same_codes():
    table = metric_table(frame(), 500)
    assert list(table.columns) == ["mAP@500 (hits)", "mAP@all", "difference"]
    assert table.loc["DCMH"].tolist() == ["0.555", "0.405", "0.150"]


def test_the_metric_paragraph_computes_like_for_like_and_mixed():
    text = metric_paragraph(frame(), 500, 0.26)
    assert "DCMQ less DCMH" in text and "+0.050 if both are measured by mAP@500 (hits)" in text
    assert "+0.100 if both by mAP@all" in text and "it would be +0.200" in text and "moves DCMH by 0.150" in text
    assert "missing" in metric_paragraph(frame().query("variant != 'DCMQ'"), 500, 0.26)


def test_the_published_lead_is_dcmqs_over_the_best_row_of_the_others():
    leads = published_lead()
    assert set(leads.index) == {"mirflickr", "nuswide", "coco"} and leads.between(0, 0.3).all()
