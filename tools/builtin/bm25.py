"""BM25 with Lucene's formula: Porter stems, Lucene's English stop words, title and text as one field."""
import collections
import math
import re

import numpy
import scipy.sparse
import Stemmer

STOP = set("a an and are as at be but by for if in into is it no not of on or such that the their then "
           "there these they this to was will with".split())
WORD = re.compile(r"[^\W_]+", re.UNICODE)
SETTINGS = ((0.9, 0.4), (1.2, 0.75))


def analyse(text, stemmer=Stemmer.Stemmer("porter")):
    return stemmer.stemWords([word for word in WORD.findall(text.lower()) if word not in STOP])


class Index:
    def __init__(self, texts, k1=0.9, b=0.4):
        """texts: {id: text}"""
        self.ids = list(texts)
        self.k1, self.b = k1, b
        self.terms = {}
        rows, columns, counts, lengths = [], [], [], []
        for row, text in enumerate(texts.values()):
            words = analyse(text)
            lengths.append(len(words))
            for word, count in collections.Counter(words).items():
                rows.append(row)
                columns.append(self.terms.setdefault(word, len(self.terms)))
                counts.append(count)
        self.rows, self.columns = numpy.array(rows), numpy.array(columns)
        self.counts, self.lengths = numpy.array(counts, dtype=numpy.float64), numpy.array(lengths)
        found = numpy.bincount(self.columns, minlength=len(self.terms))
        self.idf = numpy.log(1 + (len(self.ids) - found + 0.5) / (found + 0.5))
        self.weigh(k1, b)

    def weigh(self, k1, b):
        norm = k1 * (1 - b + b * self.lengths[self.rows] / self.lengths.mean())
        weight = self.idf[self.columns] * self.counts / (self.counts + norm)
        shape = (len(self.terms), len(self.ids))
        self.matrix = scipy.sparse.csr_matrix((weight, (self.columns, self.rows)), shape=shape)
        return self

    def rarity(self, word):
        """The idf of a word as it stands in a text; 0 where it is unknown."""
        column = self.terms.get(next(iter(analyse(word)), None))
        return 0.0 if column is None else float(self.idf[column])

    def scores(self, query):
        """The score of every document, and the most any document could reach (the query's idf mass)."""
        total, most = numpy.zeros(len(self.ids)), 0.0
        for word, count in collections.Counter(analyse(query)).items():
            column = self.terms.get(word)
            if column is None:
                most += count * math.log(2 * len(self.ids) + 2)
                continue
            most += count * self.idf[column]
            row = self.matrix[column]
            total[row.indices] += count * row.data
        return total, most

    def top(self, query, size=100):
        """[(document id, score)], best first, ties by position."""
        total, _ = self.scores(query)
        best = numpy.argsort(-total, kind="stable")[:size]
        return [(self.ids[i], float(total[i])) for i in best if total[i] > 0]
