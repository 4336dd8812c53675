module @reranker_2x16_bf16 {
  func.func public @main(
      %ids: tensor<2x16xi32>,
      %lengths: tensor<2xi32>,
      %segments: tensor<2x16xi32>,
      %words: tensor<300x32xbf16>,
      %positions: tensor<512x32xf32>,
      %segment_table: tensor<2x32xf32>,
      %embedding_norm_gamma: tensor<32xf32>,
      %embedding_norm_beta: tensor<32xf32>,
      %block_0_query_weight: tensor<32x32xbf16>,
      %block_0_query_bias: tensor<32xf32>,
      %block_0_key_weight: tensor<32x32xbf16>,
      %block_0_key_bias: tensor<32xf32>,
      %block_0_value_weight: tensor<32x32xbf16>,
      %block_0_value_bias: tensor<32xf32>,
      %block_0_attention_output_weight: tensor<32x32xbf16>,
      %block_0_attention_output_bias: tensor<32xf32>,
      %block_0_attention_norm_gamma: tensor<32xf32>,
      %block_0_attention_norm_beta: tensor<32xf32>,
      %block_0_up_weight: tensor<64x32xbf16>,
      %block_0_up_bias: tensor<64xf32>,
      %block_0_down_weight: tensor<32x64xbf16>,
      %block_0_down_bias: tensor<32xf32>,
      %block_0_output_norm_gamma: tensor<32xf32>,
      %block_0_output_norm_beta: tensor<32xf32>,
      %block_1_query_weight: tensor<32x32xbf16>,
      %block_1_query_bias: tensor<32xf32>,
      %block_1_key_weight: tensor<32x32xbf16>,
      %block_1_key_bias: tensor<32xf32>,
      %block_1_value_weight: tensor<32x32xbf16>,
      %block_1_value_bias: tensor<32xf32>,
      %block_1_attention_output_weight: tensor<32x32xbf16>,
      %block_1_attention_output_bias: tensor<32xf32>,
      %block_1_attention_norm_gamma: tensor<32xf32>,
      %block_1_attention_norm_beta: tensor<32xf32>,
      %block_1_up_weight: tensor<64x32xbf16>,
      %block_1_up_bias: tensor<64xf32>,
      %block_1_down_weight: tensor<32x64xbf16>,
      %block_1_down_bias: tensor<32xf32>,
      %block_1_output_norm_gamma: tensor<32xf32>,
      %block_1_output_norm_beta: tensor<32xf32>,
      %head_dense_weight: tensor<32x32xf32>,
      %head_dense_bias: tensor<32xf32>,
      %head_output_weight: tensor<1x32xf32>,
      %head_output_bias: tensor<1xf32>
  ) -> tensor<2xf32> {
    // which tokens lie inside their sequences
    %mask_broadcast_0 = stablehlo.broadcast_in_dim %lengths, dims = [0] : (tensor<2xi32>) -> tensor<2x16xi32>
    %mask_iota_1 = stablehlo.iota dim = 1 : tensor<2x16xi32>
    %mask_compare_2 = stablehlo.compare LT, %mask_iota_1, %mask_broadcast_0, SIGNED : (tensor<2x16xi32>, tensor<2x16xi32>) -> tensor<2x16xi1>

    // embedding
    %embedding_rows_3 = "stablehlo.gather"(%words, %ids) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<300x32xbf16>, tensor<2x16xi32>) -> tensor<2x16x32xbf16>
    %embedding_convert_4 = stablehlo.convert %embedding_rows_3 : (tensor<2x16x32xbf16>) -> tensor<2x16x32xf32>
    %embedding_slice_5 = stablehlo.slice %positions [0:16, 0:32] : (tensor<512x32xf32>) -> tensor<16x32xf32>
    %embedding_broadcast_6 = stablehlo.broadcast_in_dim %embedding_slice_5, dims = [1, 2] : (tensor<16x32xf32>) -> tensor<2x16x32xf32>
    %embedding_add_7 = stablehlo.add %embedding_convert_4, %embedding_broadcast_6 : tensor<2x16x32xf32>
    %embedding_rows_8 = "stablehlo.gather"(%segment_table, %segments) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<2x32xf32>, tensor<2x16xi32>) -> tensor<2x16x32xf32>
    %embedding_add_9 = stablehlo.add %embedding_add_7, %embedding_rows_8 : tensor<2x16x32xf32>
    %embedding_constant_10 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_11 = stablehlo.reduce(%embedding_add_9 init: %embedding_constant_10) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_12 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_13 = stablehlo.multiply %embedding_reduce_11, %embedding_constant_12 : tensor<2x16xf32>
    %embedding_broadcast_14 = stablehlo.broadcast_in_dim %embedding_multiply_13, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_subtract_15 = stablehlo.subtract %embedding_add_9, %embedding_broadcast_14 : tensor<2x16x32xf32>
    %embedding_multiply_16 = stablehlo.multiply %embedding_subtract_15, %embedding_subtract_15 : tensor<2x16x32xf32>
    %embedding_constant_17 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_18 = stablehlo.reduce(%embedding_multiply_16 init: %embedding_constant_17) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_19 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_20 = stablehlo.multiply %embedding_reduce_18, %embedding_constant_19 : tensor<2x16xf32>
    %embedding_constant_21 = stablehlo.constant dense<9.99999996e-13> : tensor<2x16xf32>
    %embedding_add_22 = stablehlo.add %embedding_multiply_20, %embedding_constant_21 : tensor<2x16xf32>
    %embedding_rsqrt_23 = stablehlo.rsqrt %embedding_add_22 : tensor<2x16xf32>
    %embedding_broadcast_24 = stablehlo.broadcast_in_dim %embedding_rsqrt_23, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_25 = stablehlo.multiply %embedding_subtract_15, %embedding_broadcast_24 : tensor<2x16x32xf32>
    %embedding_broadcast_26 = stablehlo.broadcast_in_dim %embedding_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_27 = stablehlo.multiply %embedding_multiply_25, %embedding_broadcast_26 : tensor<2x16x32xf32>
    %embedding_broadcast_28 = stablehlo.broadcast_in_dim %embedding_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_add_29 = stablehlo.add %embedding_multiply_27, %embedding_broadcast_28 : tensor<2x16x32xf32>

    // block 0: attention
    %b0_convert_30 = stablehlo.convert %embedding_add_29 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b0_dot_31 = stablehlo.dot_general %b0_convert_30, %block_0_query_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<32x32xbf16>) -> tensor<2x16x32xf32>
    %b0_broadcast_32 = stablehlo.broadcast_in_dim %block_0_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_33 = stablehlo.add %b0_dot_31, %b0_broadcast_32 : tensor<2x16x32xf32>
    %b0_reshape_34 = stablehlo.reshape %b0_add_33 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_convert_35 = stablehlo.convert %embedding_add_29 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b0_dot_36 = stablehlo.dot_general %b0_convert_35, %block_0_key_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<32x32xbf16>) -> tensor<2x16x32xf32>
    %b0_broadcast_37 = stablehlo.broadcast_in_dim %block_0_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_38 = stablehlo.add %b0_dot_36, %b0_broadcast_37 : tensor<2x16x32xf32>
    %b0_reshape_39 = stablehlo.reshape %b0_add_38 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_convert_40 = stablehlo.convert %embedding_add_29 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b0_dot_41 = stablehlo.dot_general %b0_convert_40, %block_0_value_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<32x32xbf16>) -> tensor<2x16x32xf32>
    %b0_broadcast_42 = stablehlo.broadcast_in_dim %block_0_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_43 = stablehlo.add %b0_dot_41, %b0_broadcast_42 : tensor<2x16x32xf32>
    %b0_reshape_44 = stablehlo.reshape %b0_add_43 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_convert_45 = stablehlo.convert %b0_reshape_34 : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x8xbf16>
    %b0_convert_46 = stablehlo.convert %b0_reshape_39 : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x8xbf16>
    %b0_dot_47 = stablehlo.dot_general %b0_convert_45, %b0_convert_46, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [DEFAULT, DEFAULT] : (tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>) -> tensor<2x4x16x16xf32>
    %b0_constant_48 = stablehlo.constant dense<0.353553385> : tensor<2x4x16x16xf32>
    %b0_multiply_49 = stablehlo.multiply %b0_dot_47, %b0_constant_48 : tensor<2x4x16x16xf32>
    %b0_broadcast_50 = stablehlo.broadcast_in_dim %mask_compare_2, dims = [0, 2] : (tensor<2x16xi1>) -> tensor<2x16x16xi1>
    %b0_constant_51 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b0_broadcast_52 = stablehlo.broadcast_in_dim %b0_broadcast_50, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b0_select_53 = stablehlo.select %b0_broadcast_52, %b0_multiply_49, %b0_constant_51 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b0_constant_54 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b0_reduce_55 = stablehlo.reduce(%b0_select_53 init: %b0_constant_54) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_56 = stablehlo.broadcast_in_dim %b0_reduce_55, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_subtract_57 = stablehlo.subtract %b0_select_53, %b0_broadcast_56 : tensor<2x4x16x16xf32>
    %b0_exponential_58 = stablehlo.exponential %b0_subtract_57 : tensor<2x4x16x16xf32>
    %b0_constant_59 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_60 = stablehlo.reduce(%b0_exponential_58 init: %b0_constant_59) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_61 = stablehlo.broadcast_in_dim %b0_reduce_60, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_divide_62 = stablehlo.divide %b0_exponential_58, %b0_broadcast_61 : tensor<2x4x16x16xf32>
    %b0_convert_63 = stablehlo.convert %b0_divide_62 : (tensor<2x4x16x16xf32>) -> tensor<2x4x16x16xbf16>
    %b0_convert_64 = stablehlo.convert %b0_reshape_44 : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x8xbf16>
    %b0_dot_65 = stablehlo.dot_general %b0_convert_63, %b0_convert_64, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x4x16x16xbf16>, tensor<2x16x4x8xbf16>) -> tensor<2x4x16x8xf32>
    %b0_transpose_66 = stablehlo.transpose %b0_dot_65, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b0_reshape_67 = stablehlo.reshape %b0_transpose_66 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b0_convert_68 = stablehlo.convert %b0_reshape_67 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b0_dot_69 = stablehlo.dot_general %b0_convert_68, %block_0_attention_output_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<32x32xbf16>) -> tensor<2x16x32xf32>
    %b0_broadcast_70 = stablehlo.broadcast_in_dim %block_0_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_71 = stablehlo.add %b0_dot_69, %b0_broadcast_70 : tensor<2x16x32xf32>
    %b0_add_72 = stablehlo.add %embedding_add_29, %b0_add_71 : tensor<2x16x32xf32>
    %b0_constant_73 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_74 = stablehlo.reduce(%b0_add_72 init: %b0_constant_73) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_75 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_76 = stablehlo.multiply %b0_reduce_74, %b0_constant_75 : tensor<2x16xf32>
    %b0_broadcast_77 = stablehlo.broadcast_in_dim %b0_multiply_76, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_78 = stablehlo.subtract %b0_add_72, %b0_broadcast_77 : tensor<2x16x32xf32>
    %b0_multiply_79 = stablehlo.multiply %b0_subtract_78, %b0_subtract_78 : tensor<2x16x32xf32>
    %b0_constant_80 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_81 = stablehlo.reduce(%b0_multiply_79 init: %b0_constant_80) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_82 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_83 = stablehlo.multiply %b0_reduce_81, %b0_constant_82 : tensor<2x16xf32>
    %b0_constant_84 = stablehlo.constant dense<9.99999996e-13> : tensor<2x16xf32>
    %b0_add_85 = stablehlo.add %b0_multiply_83, %b0_constant_84 : tensor<2x16xf32>
    %b0_rsqrt_86 = stablehlo.rsqrt %b0_add_85 : tensor<2x16xf32>
    %b0_broadcast_87 = stablehlo.broadcast_in_dim %b0_rsqrt_86, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_88 = stablehlo.multiply %b0_subtract_78, %b0_broadcast_87 : tensor<2x16x32xf32>
    %b0_broadcast_89 = stablehlo.broadcast_in_dim %block_0_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_90 = stablehlo.multiply %b0_multiply_88, %b0_broadcast_89 : tensor<2x16x32xf32>
    %b0_broadcast_91 = stablehlo.broadcast_in_dim %block_0_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_92 = stablehlo.add %b0_multiply_90, %b0_broadcast_91 : tensor<2x16x32xf32>

    // block 0: feed-forward
    %b0_convert_93 = stablehlo.convert %b0_add_92 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b0_dot_94 = stablehlo.dot_general %b0_convert_93, %block_0_up_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<64x32xbf16>) -> tensor<2x16x64xf32>
    %b0_broadcast_95 = stablehlo.broadcast_in_dim %block_0_up_bias, dims = [2] : (tensor<64xf32>) -> tensor<2x16x64xf32>
    %b0_add_96 = stablehlo.add %b0_dot_94, %b0_broadcast_95 : tensor<2x16x64xf32>
    %b0_constant_97 = stablehlo.constant dense<0.707106769> : tensor<2x16x64xf32>
    %b0_multiply_98 = stablehlo.multiply %b0_add_96, %b0_constant_97 : tensor<2x16x64xf32>
    %b0_abs_99 = stablehlo.abs %b0_multiply_98 : tensor<2x16x64xf32>
    %b0_constant_100 = stablehlo.constant dense<1.0> : tensor<2x16x64xf32>
    %b0_constant_101 = stablehlo.constant dense<0.327591091> : tensor<2x16x64xf32>
    %b0_multiply_102 = stablehlo.multiply %b0_abs_99, %b0_constant_101 : tensor<2x16x64xf32>
    %b0_add_103 = stablehlo.add %b0_constant_100, %b0_multiply_102 : tensor<2x16x64xf32>
    %b0_divide_104 = stablehlo.divide %b0_constant_100, %b0_add_103 : tensor<2x16x64xf32>
    %b0_constant_105 = stablehlo.constant dense<1.06140542> : tensor<2x16x64xf32>
    %b0_multiply_106 = stablehlo.multiply %b0_divide_104, %b0_constant_105 : tensor<2x16x64xf32>
    %b0_constant_107 = stablehlo.constant dense<-1.45315206> : tensor<2x16x64xf32>
    %b0_add_108 = stablehlo.add %b0_multiply_106, %b0_constant_107 : tensor<2x16x64xf32>
    %b0_multiply_109 = stablehlo.multiply %b0_add_108, %b0_divide_104 : tensor<2x16x64xf32>
    %b0_constant_110 = stablehlo.constant dense<1.42141378> : tensor<2x16x64xf32>
    %b0_add_111 = stablehlo.add %b0_multiply_109, %b0_constant_110 : tensor<2x16x64xf32>
    %b0_multiply_112 = stablehlo.multiply %b0_add_111, %b0_divide_104 : tensor<2x16x64xf32>
    %b0_constant_113 = stablehlo.constant dense<-0.284496725> : tensor<2x16x64xf32>
    %b0_add_114 = stablehlo.add %b0_multiply_112, %b0_constant_113 : tensor<2x16x64xf32>
    %b0_multiply_115 = stablehlo.multiply %b0_add_114, %b0_divide_104 : tensor<2x16x64xf32>
    %b0_constant_116 = stablehlo.constant dense<0.254829586> : tensor<2x16x64xf32>
    %b0_add_117 = stablehlo.add %b0_multiply_115, %b0_constant_116 : tensor<2x16x64xf32>
    %b0_multiply_118 = stablehlo.multiply %b0_add_117, %b0_divide_104 : tensor<2x16x64xf32>
    %b0_multiply_119 = stablehlo.multiply %b0_abs_99, %b0_abs_99 : tensor<2x16x64xf32>
    %b0_negate_120 = stablehlo.negate %b0_multiply_119 : tensor<2x16x64xf32>
    %b0_exponential_121 = stablehlo.exponential %b0_negate_120 : tensor<2x16x64xf32>
    %b0_multiply_122 = stablehlo.multiply %b0_multiply_118, %b0_exponential_121 : tensor<2x16x64xf32>
    %b0_subtract_123 = stablehlo.subtract %b0_constant_100, %b0_multiply_122 : tensor<2x16x64xf32>
    %b0_sign_124 = stablehlo.sign %b0_multiply_98 : tensor<2x16x64xf32>
    %b0_multiply_125 = stablehlo.multiply %b0_sign_124, %b0_subtract_123 : tensor<2x16x64xf32>
    %b0_constant_126 = stablehlo.constant dense<1.0> : tensor<2x16x64xf32>
    %b0_add_127 = stablehlo.add %b0_multiply_125, %b0_constant_126 : tensor<2x16x64xf32>
    %b0_constant_128 = stablehlo.constant dense<0.5> : tensor<2x16x64xf32>
    %b0_multiply_129 = stablehlo.multiply %b0_add_96, %b0_constant_128 : tensor<2x16x64xf32>
    %b0_multiply_130 = stablehlo.multiply %b0_multiply_129, %b0_add_127 : tensor<2x16x64xf32>
    %b0_convert_131 = stablehlo.convert %b0_multiply_130 : (tensor<2x16x64xf32>) -> tensor<2x16x64xbf16>
    %b0_dot_132 = stablehlo.dot_general %b0_convert_131, %block_0_down_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x64xbf16>, tensor<32x64xbf16>) -> tensor<2x16x32xf32>
    %b0_broadcast_133 = stablehlo.broadcast_in_dim %block_0_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_134 = stablehlo.add %b0_dot_132, %b0_broadcast_133 : tensor<2x16x32xf32>
    %b0_add_135 = stablehlo.add %b0_add_92, %b0_add_134 : tensor<2x16x32xf32>
    %b0_constant_136 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_137 = stablehlo.reduce(%b0_add_135 init: %b0_constant_136) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_138 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_139 = stablehlo.multiply %b0_reduce_137, %b0_constant_138 : tensor<2x16xf32>
    %b0_broadcast_140 = stablehlo.broadcast_in_dim %b0_multiply_139, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_141 = stablehlo.subtract %b0_add_135, %b0_broadcast_140 : tensor<2x16x32xf32>
    %b0_multiply_142 = stablehlo.multiply %b0_subtract_141, %b0_subtract_141 : tensor<2x16x32xf32>
    %b0_constant_143 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_144 = stablehlo.reduce(%b0_multiply_142 init: %b0_constant_143) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_145 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_146 = stablehlo.multiply %b0_reduce_144, %b0_constant_145 : tensor<2x16xf32>
    %b0_constant_147 = stablehlo.constant dense<9.99999996e-13> : tensor<2x16xf32>
    %b0_add_148 = stablehlo.add %b0_multiply_146, %b0_constant_147 : tensor<2x16xf32>
    %b0_rsqrt_149 = stablehlo.rsqrt %b0_add_148 : tensor<2x16xf32>
    %b0_broadcast_150 = stablehlo.broadcast_in_dim %b0_rsqrt_149, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_151 = stablehlo.multiply %b0_subtract_141, %b0_broadcast_150 : tensor<2x16x32xf32>
    %b0_broadcast_152 = stablehlo.broadcast_in_dim %block_0_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_153 = stablehlo.multiply %b0_multiply_151, %b0_broadcast_152 : tensor<2x16x32xf32>
    %b0_broadcast_154 = stablehlo.broadcast_in_dim %block_0_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_155 = stablehlo.add %b0_multiply_153, %b0_broadcast_154 : tensor<2x16x32xf32>

    // block 1: attention
    %b1_slice_156 = stablehlo.slice %b0_add_155 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b1_convert_157 = stablehlo.convert %b1_slice_156 : (tensor<2x1x32xf32>) -> tensor<2x1x32xbf16>
    %b1_dot_158 = stablehlo.dot_general %b1_convert_157, %block_1_query_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x1x32xbf16>, tensor<32x32xbf16>) -> tensor<2x1x32xf32>
    %b1_broadcast_159 = stablehlo.broadcast_in_dim %block_1_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_160 = stablehlo.add %b1_dot_158, %b1_broadcast_159 : tensor<2x1x32xf32>
    %b1_reshape_161 = stablehlo.reshape %b1_add_160 : (tensor<2x1x32xf32>) -> tensor<2x1x4x8xf32>
    %b1_convert_162 = stablehlo.convert %b0_add_155 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b1_dot_163 = stablehlo.dot_general %b1_convert_162, %block_1_key_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<32x32xbf16>) -> tensor<2x16x32xf32>
    %b1_broadcast_164 = stablehlo.broadcast_in_dim %block_1_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_165 = stablehlo.add %b1_dot_163, %b1_broadcast_164 : tensor<2x16x32xf32>
    %b1_reshape_166 = stablehlo.reshape %b1_add_165 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_convert_167 = stablehlo.convert %b0_add_155 : (tensor<2x16x32xf32>) -> tensor<2x16x32xbf16>
    %b1_dot_168 = stablehlo.dot_general %b1_convert_167, %block_1_value_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x16x32xbf16>, tensor<32x32xbf16>) -> tensor<2x16x32xf32>
    %b1_broadcast_169 = stablehlo.broadcast_in_dim %block_1_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_170 = stablehlo.add %b1_dot_168, %b1_broadcast_169 : tensor<2x16x32xf32>
    %b1_reshape_171 = stablehlo.reshape %b1_add_170 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_convert_172 = stablehlo.convert %b1_reshape_161 : (tensor<2x1x4x8xf32>) -> tensor<2x1x4x8xbf16>
    %b1_convert_173 = stablehlo.convert %b1_reshape_166 : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x8xbf16>
    %b1_dot_174 = stablehlo.dot_general %b1_convert_172, %b1_convert_173, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [DEFAULT, DEFAULT] : (tensor<2x1x4x8xbf16>, tensor<2x16x4x8xbf16>) -> tensor<2x4x1x16xf32>
    %b1_constant_175 = stablehlo.constant dense<0.353553385> : tensor<2x4x1x16xf32>
    %b1_multiply_176 = stablehlo.multiply %b1_dot_174, %b1_constant_175 : tensor<2x4x1x16xf32>
    %b1_slice_177 = stablehlo.slice %b0_broadcast_50 [0:2, 0:1, 0:16] : (tensor<2x16x16xi1>) -> tensor<2x1x16xi1>
    %b1_constant_178 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x1x16xf32>
    %b1_broadcast_179 = stablehlo.broadcast_in_dim %b1_slice_177, dims = [0, 2, 3] : (tensor<2x1x16xi1>) -> tensor<2x4x1x16xi1>
    %b1_select_180 = stablehlo.select %b1_broadcast_179, %b1_multiply_176, %b1_constant_178 : tensor<2x4x1x16xi1>, tensor<2x4x1x16xf32>
    %b1_constant_181 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b1_reduce_182 = stablehlo.reduce(%b1_select_180 init: %b1_constant_181) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b1_broadcast_183 = stablehlo.broadcast_in_dim %b1_reduce_182, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b1_subtract_184 = stablehlo.subtract %b1_select_180, %b1_broadcast_183 : tensor<2x4x1x16xf32>
    %b1_exponential_185 = stablehlo.exponential %b1_subtract_184 : tensor<2x4x1x16xf32>
    %b1_constant_186 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_187 = stablehlo.reduce(%b1_exponential_185 init: %b1_constant_186) applies stablehlo.add across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b1_broadcast_188 = stablehlo.broadcast_in_dim %b1_reduce_187, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b1_divide_189 = stablehlo.divide %b1_exponential_185, %b1_broadcast_188 : tensor<2x4x1x16xf32>
    %b1_convert_190 = stablehlo.convert %b1_divide_189 : (tensor<2x4x1x16xf32>) -> tensor<2x4x1x16xbf16>
    %b1_convert_191 = stablehlo.convert %b1_reshape_171 : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x8xbf16>
    %b1_dot_192 = stablehlo.dot_general %b1_convert_190, %b1_convert_191, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x4x1x16xbf16>, tensor<2x16x4x8xbf16>) -> tensor<2x4x1x8xf32>
    %b1_transpose_193 = stablehlo.transpose %b1_dot_192, dims = [0, 2, 1, 3] : (tensor<2x4x1x8xf32>) -> tensor<2x1x4x8xf32>
    %b1_reshape_194 = stablehlo.reshape %b1_transpose_193 : (tensor<2x1x4x8xf32>) -> tensor<2x1x32xf32>
    %b1_convert_195 = stablehlo.convert %b1_reshape_194 : (tensor<2x1x32xf32>) -> tensor<2x1x32xbf16>
    %b1_dot_196 = stablehlo.dot_general %b1_convert_195, %block_1_attention_output_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x1x32xbf16>, tensor<32x32xbf16>) -> tensor<2x1x32xf32>
    %b1_broadcast_197 = stablehlo.broadcast_in_dim %block_1_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_198 = stablehlo.add %b1_dot_196, %b1_broadcast_197 : tensor<2x1x32xf32>
    %b1_slice_199 = stablehlo.slice %b0_add_155 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b1_add_200 = stablehlo.add %b1_slice_199, %b1_add_198 : tensor<2x1x32xf32>
    %b1_constant_201 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_202 = stablehlo.reduce(%b1_add_200 init: %b1_constant_201) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_203 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_204 = stablehlo.multiply %b1_reduce_202, %b1_constant_203 : tensor<2x1xf32>
    %b1_broadcast_205 = stablehlo.broadcast_in_dim %b1_multiply_204, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_subtract_206 = stablehlo.subtract %b1_add_200, %b1_broadcast_205 : tensor<2x1x32xf32>
    %b1_multiply_207 = stablehlo.multiply %b1_subtract_206, %b1_subtract_206 : tensor<2x1x32xf32>
    %b1_constant_208 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_209 = stablehlo.reduce(%b1_multiply_207 init: %b1_constant_208) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_210 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_211 = stablehlo.multiply %b1_reduce_209, %b1_constant_210 : tensor<2x1xf32>
    %b1_constant_212 = stablehlo.constant dense<9.99999996e-13> : tensor<2x1xf32>
    %b1_add_213 = stablehlo.add %b1_multiply_211, %b1_constant_212 : tensor<2x1xf32>
    %b1_rsqrt_214 = stablehlo.rsqrt %b1_add_213 : tensor<2x1xf32>
    %b1_broadcast_215 = stablehlo.broadcast_in_dim %b1_rsqrt_214, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_216 = stablehlo.multiply %b1_subtract_206, %b1_broadcast_215 : tensor<2x1x32xf32>
    %b1_broadcast_217 = stablehlo.broadcast_in_dim %block_1_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_218 = stablehlo.multiply %b1_multiply_216, %b1_broadcast_217 : tensor<2x1x32xf32>
    %b1_broadcast_219 = stablehlo.broadcast_in_dim %block_1_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_220 = stablehlo.add %b1_multiply_218, %b1_broadcast_219 : tensor<2x1x32xf32>

    // block 1: feed-forward
    %b1_convert_221 = stablehlo.convert %b1_add_220 : (tensor<2x1x32xf32>) -> tensor<2x1x32xbf16>
    %b1_dot_222 = stablehlo.dot_general %b1_convert_221, %block_1_up_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x1x32xbf16>, tensor<64x32xbf16>) -> tensor<2x1x64xf32>
    %b1_broadcast_223 = stablehlo.broadcast_in_dim %block_1_up_bias, dims = [2] : (tensor<64xf32>) -> tensor<2x1x64xf32>
    %b1_add_224 = stablehlo.add %b1_dot_222, %b1_broadcast_223 : tensor<2x1x64xf32>
    %b1_constant_225 = stablehlo.constant dense<0.707106769> : tensor<2x1x64xf32>
    %b1_multiply_226 = stablehlo.multiply %b1_add_224, %b1_constant_225 : tensor<2x1x64xf32>
    %b1_abs_227 = stablehlo.abs %b1_multiply_226 : tensor<2x1x64xf32>
    %b1_constant_228 = stablehlo.constant dense<1.0> : tensor<2x1x64xf32>
    %b1_constant_229 = stablehlo.constant dense<0.327591091> : tensor<2x1x64xf32>
    %b1_multiply_230 = stablehlo.multiply %b1_abs_227, %b1_constant_229 : tensor<2x1x64xf32>
    %b1_add_231 = stablehlo.add %b1_constant_228, %b1_multiply_230 : tensor<2x1x64xf32>
    %b1_divide_232 = stablehlo.divide %b1_constant_228, %b1_add_231 : tensor<2x1x64xf32>
    %b1_constant_233 = stablehlo.constant dense<1.06140542> : tensor<2x1x64xf32>
    %b1_multiply_234 = stablehlo.multiply %b1_divide_232, %b1_constant_233 : tensor<2x1x64xf32>
    %b1_constant_235 = stablehlo.constant dense<-1.45315206> : tensor<2x1x64xf32>
    %b1_add_236 = stablehlo.add %b1_multiply_234, %b1_constant_235 : tensor<2x1x64xf32>
    %b1_multiply_237 = stablehlo.multiply %b1_add_236, %b1_divide_232 : tensor<2x1x64xf32>
    %b1_constant_238 = stablehlo.constant dense<1.42141378> : tensor<2x1x64xf32>
    %b1_add_239 = stablehlo.add %b1_multiply_237, %b1_constant_238 : tensor<2x1x64xf32>
    %b1_multiply_240 = stablehlo.multiply %b1_add_239, %b1_divide_232 : tensor<2x1x64xf32>
    %b1_constant_241 = stablehlo.constant dense<-0.284496725> : tensor<2x1x64xf32>
    %b1_add_242 = stablehlo.add %b1_multiply_240, %b1_constant_241 : tensor<2x1x64xf32>
    %b1_multiply_243 = stablehlo.multiply %b1_add_242, %b1_divide_232 : tensor<2x1x64xf32>
    %b1_constant_244 = stablehlo.constant dense<0.254829586> : tensor<2x1x64xf32>
    %b1_add_245 = stablehlo.add %b1_multiply_243, %b1_constant_244 : tensor<2x1x64xf32>
    %b1_multiply_246 = stablehlo.multiply %b1_add_245, %b1_divide_232 : tensor<2x1x64xf32>
    %b1_multiply_247 = stablehlo.multiply %b1_abs_227, %b1_abs_227 : tensor<2x1x64xf32>
    %b1_negate_248 = stablehlo.negate %b1_multiply_247 : tensor<2x1x64xf32>
    %b1_exponential_249 = stablehlo.exponential %b1_negate_248 : tensor<2x1x64xf32>
    %b1_multiply_250 = stablehlo.multiply %b1_multiply_246, %b1_exponential_249 : tensor<2x1x64xf32>
    %b1_subtract_251 = stablehlo.subtract %b1_constant_228, %b1_multiply_250 : tensor<2x1x64xf32>
    %b1_sign_252 = stablehlo.sign %b1_multiply_226 : tensor<2x1x64xf32>
    %b1_multiply_253 = stablehlo.multiply %b1_sign_252, %b1_subtract_251 : tensor<2x1x64xf32>
    %b1_constant_254 = stablehlo.constant dense<1.0> : tensor<2x1x64xf32>
    %b1_add_255 = stablehlo.add %b1_multiply_253, %b1_constant_254 : tensor<2x1x64xf32>
    %b1_constant_256 = stablehlo.constant dense<0.5> : tensor<2x1x64xf32>
    %b1_multiply_257 = stablehlo.multiply %b1_add_224, %b1_constant_256 : tensor<2x1x64xf32>
    %b1_multiply_258 = stablehlo.multiply %b1_multiply_257, %b1_add_255 : tensor<2x1x64xf32>
    %b1_convert_259 = stablehlo.convert %b1_multiply_258 : (tensor<2x1x64xf32>) -> tensor<2x1x64xbf16>
    %b1_dot_260 = stablehlo.dot_general %b1_convert_259, %block_1_down_weight, contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT] : (tensor<2x1x64xbf16>, tensor<32x64xbf16>) -> tensor<2x1x32xf32>
    %b1_broadcast_261 = stablehlo.broadcast_in_dim %block_1_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_262 = stablehlo.add %b1_dot_260, %b1_broadcast_261 : tensor<2x1x32xf32>
    %b1_add_263 = stablehlo.add %b1_add_220, %b1_add_262 : tensor<2x1x32xf32>
    %b1_constant_264 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_265 = stablehlo.reduce(%b1_add_263 init: %b1_constant_264) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_266 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_267 = stablehlo.multiply %b1_reduce_265, %b1_constant_266 : tensor<2x1xf32>
    %b1_broadcast_268 = stablehlo.broadcast_in_dim %b1_multiply_267, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_subtract_269 = stablehlo.subtract %b1_add_263, %b1_broadcast_268 : tensor<2x1x32xf32>
    %b1_multiply_270 = stablehlo.multiply %b1_subtract_269, %b1_subtract_269 : tensor<2x1x32xf32>
    %b1_constant_271 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_272 = stablehlo.reduce(%b1_multiply_270 init: %b1_constant_271) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_273 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_274 = stablehlo.multiply %b1_reduce_272, %b1_constant_273 : tensor<2x1xf32>
    %b1_constant_275 = stablehlo.constant dense<9.99999996e-13> : tensor<2x1xf32>
    %b1_add_276 = stablehlo.add %b1_multiply_274, %b1_constant_275 : tensor<2x1xf32>
    %b1_rsqrt_277 = stablehlo.rsqrt %b1_add_276 : tensor<2x1xf32>
    %b1_broadcast_278 = stablehlo.broadcast_in_dim %b1_rsqrt_277, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_279 = stablehlo.multiply %b1_subtract_269, %b1_broadcast_278 : tensor<2x1x32xf32>
    %b1_broadcast_280 = stablehlo.broadcast_in_dim %block_1_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_281 = stablehlo.multiply %b1_multiply_279, %b1_broadcast_280 : tensor<2x1x32xf32>
    %b1_broadcast_282 = stablehlo.broadcast_in_dim %block_1_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_283 = stablehlo.add %b1_multiply_281, %b1_broadcast_282 : tensor<2x1x32xf32>

    // head
    %head_reshape_284 = stablehlo.reshape %b1_add_283 : (tensor<2x1x32xf32>) -> tensor<2x32xf32>
    %head_dot_285 = stablehlo.dot_general %head_reshape_284, %head_dense_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<32x32xf32>) -> tensor<2x32xf32>
    %head_broadcast_286 = stablehlo.broadcast_in_dim %head_dense_bias, dims = [1] : (tensor<32xf32>) -> tensor<2x32xf32>
    %head_add_287 = stablehlo.add %head_dot_285, %head_broadcast_286 : tensor<2x32xf32>
    %head_tanh_288 = stablehlo.tanh %head_add_287 : tensor<2x32xf32>
    %head_dot_289 = stablehlo.dot_general %head_tanh_288, %head_output_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<1x32xf32>) -> tensor<2x1xf32>
    %head_broadcast_290 = stablehlo.broadcast_in_dim %head_output_bias, dims = [1] : (tensor<1xf32>) -> tensor<2x1xf32>
    %head_add_291 = stablehlo.add %head_dot_289, %head_broadcast_290 : tensor<2x1xf32>
    %head_reshape_292 = stablehlo.reshape %head_add_291 : (tensor<2x1xf32>) -> tensor<2xf32>
    return %head_reshape_292 : tensor<2xf32>
  }
}
